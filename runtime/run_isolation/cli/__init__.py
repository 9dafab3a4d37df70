"""The ``run-isolation`` command. Each module here is one subcommand and defines ``command``.

A module is imported when its subcommand is asked for, and it imports Dagster only inside the
command's function: ``run-isolation --help`` answers at once, at a quarter of a vCPU too.
"""

from __future__ import annotations

import signal
from importlib import import_module
from pkgutil import iter_modules

import click

from run_isolation.log_level import use_level


class _Subcommands(click.Group):
    """Subcommand ``code-server`` is ``command`` in the module ``code_server`` of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(module.name.replace("_", "-") for module in iter_modules(__path__))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        module = import_module(f"{__name__}.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command


@click.group("run-isolation", cls=_Subcommands)
@click.version_option(package_name="run-isolation")
def main() -> None:
    """Isolated and non-isolated runs for open-source Dagster on AWS."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        # A shell has its background jobs ignore it: ``run-isolation code-server & wait`` in an
        # image's entrypoint. Dagster takes SIGTERM as SIGINT, so ECS could stop nothing.
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        use_level()
    except ValueError as error:
        raise click.UsageError(str(error)) from error
