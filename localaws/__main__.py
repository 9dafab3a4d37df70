"""`python -m localaws`: an account in the foreground, with the engine's provider."""

from __future__ import annotations

import json
import logging
import os
import signal
import threading
from pathlib import Path
from typing import Any

import click

from localaws.account import LocalAccount
from localaws.provider.server import serve


@click.command()
@click.option("--state-dir", type=click.Path(path_type=Path, file_okay=False), required=True)
@click.option(
    "--image-root", type=click.Path(path_type=Path, file_okay=False, exists=True), required=True
)
@click.option(
    "--python",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="The environment of Python of images that name none. Default: this process's.",
)
@click.option(
    "--mount",
    type=click.Path(path_type=Path, file_okay=False, resolve_path=True),
    multiple=True,
    help="A directory that tasks find at the same path and may write to, such as SQLite's.",
)
@click.option(
    "--together",
    is_flag=True,
    help="Tasks are mere processes of this environment, even where they could be kept apart.",
)
@click.option("--port", default=0, show_default=True, help="Of the endpoint; 0 takes a free one.")
def main(
    state_dir: Path,
    image_root: Path,
    python: Path | None,
    mount: tuple[Path, ...],
    together: bool,
    port: int,
) -> None:
    """Run a local AWS account until SIGTERM or Ctrl-C, then stop its tasks.

    Writes STATE_DIR/ready.json once it answers.
    """
    logging.basicConfig(format="%(message)s", level=logging.WARNING)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda signum, frame: ended.set())
    ready = state_dir / "ready.json"
    ready.unlink(missing_ok=True)
    account = LocalAccount(image_root, state_dir, port, python=python, apart=not together)
    for directory in mount:
        account.mount(directory)
    try:
        account.start()
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        message = f"--port {port}: {reason}. Name a free port, or 0."
        raise click.ClickException(message) from error
    try:
        provider, provider_port = serve(account.endpoint_url, account.environment())
        _write(
            ready,
            {
                "pid": os.getpid(),
                "endpoint_url": account.endpoint_url,
                "provider_port": provider_port,
                "dns": account.dns,
                "environment": account.environment(),
                "remarks": account.remarks,
            },
        )
        click.echo(f"A local AWS account answers at {account.endpoint_url}. Ctrl-C stops it.")
        while not ended.wait(1):  # Python sees no signal that comes just before it waits
            pass
        ready.unlink()
        provider.stop(grace=None)
    finally:
        account.close()


def _write(path: Path, content: dict[str, Any]) -> None:
    """Write a file that is there whole or not at all, for this user alone: it has root's keys."""
    partial = path.with_suffix(".partial")
    partial.unlink(missing_ok=True)
    partial.touch(mode=0o600)
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)


if __name__ == "__main__":
    main()
