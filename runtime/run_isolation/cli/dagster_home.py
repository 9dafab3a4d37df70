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
@click.option("--force", is_flag=True, help="Replace what has to be the deployment's.")
def command(directory: Path, force: bool) -> None:
    """Write dagster.yaml and workspace.yaml, or merge them with what is there.

    Reads the manifest that RUN_ISOLATION_MANIFEST names, and the Dagster instance of the
    deployment. When `pulumi up` adds or removes a code location, webserver and daemon follow by
    themselves; after a change of the instance run this again, and restart them. Your own keys stay,
    but for launcher, storage, queue and concurrency; comments in an existing file are lost.
    """
    from run_isolation.dagster.deployment import Deployment
    from run_isolation.dagster.home.files import HomeConflictError
    from run_isolation.dagster.home.merge import write_home
    from run_isolation.dagster.home.workspace import RESOLVER
    from run_isolation.errors import RunIsolationError

    deployment = Deployment()
    try:
        written = write_home(
            directory,
            deployment.manifest,
            deployment.newest_instance(),
            resolver=os.environ.get(RESOLVER),
            force=force,
        )
    except (HomeConflictError, RunIsolationError) as error:
        raise click.ClickException(str(error)) from error
    for file in written:
        click.echo(f"{file.path}: {'written' if file.changed else 'unchanged'}")
        for line in file.told:
            click.echo(f"{file.path}: {line}", err=True)
