"""``run-isolation dagster-home``: writes a Dagster home from the manifest."""

from __future__ import annotations

import os
from pathlib import Path

import click


@click.command()
@click.option(
    "--path",
    "directory",
    envvar="DAGSTER_HOME",
    show_envvar=True,
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Directory of dagster.yaml and workspace.yaml; made if missing.",
)
@click.option("--force", is_flag=True, help="Replace another run launcher or run coordinator.")
def command(directory: Path, force: bool) -> None:
    """Write dagster.yaml and workspace.yaml, or merge them with what is there.

    Reads the manifest that RUN_ISOLATION_MANIFEST names. When `pulumi up` adds or removes a code
    location, webserver and daemon follow by themselves. Your own keys stay; comments in an existing
    file are lost.
    """
    from run_isolation.dagster.deployment import load_manifest
    from run_isolation.dagster.home.merge import RESOLVER, HomeConflictError, write_home
    from run_isolation.errors import ManifestError

    try:
        written = write_home(
            directory, load_manifest(), resolver=os.environ.get(RESOLVER), force=force
        )
    except (HomeConflictError, ManifestError) as error:
        raise click.ClickException(str(error)) from error
    for file in written:
        click.echo(f"{file.path}: {'written' if file.changed else 'unchanged'}")
        if file.kept:
            click.echo(
                f"{file.path}: kept your {' and '.join(file.kept)}. Isolated runs use those of the "
                "stack config: they have to be the same."
            )
