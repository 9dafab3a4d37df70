"""``run-isolation run``: what an isolated task runs."""

from __future__ import annotations

import sys

import click

from run_isolation import task_metadata
from run_isolation.isolated.run_task import ATTEMPT_VARIABLE, RUN_ID_VARIABLE


@click.command()
@click.option("--run-id", envvar=RUN_ID_VARIABLE, required=True, show_envvar=True)
@click.option(
    "--attempt",
    envvar=ATTEMPT_VARIABLE,
    required=True,
    show_envvar=True,
    type=click.IntRange(min=1),
)
def command(run_id: str, attempt: int) -> None:
    """Claim a run and execute it in this ECS task.

    Exits with 0 once the run is over, 1 if it failed, 3 if it belongs to another task or is
    deleted, 4 if what it needs to begin did not answer for a minute, 5 if the deployment's
    instance can't be used here.
    """
    if not task_metadata.in_a_task():
        raise click.ClickException(
            "This is not an ECS task (no ECS_CONTAINER_METADATA_URI_V4). Isolated runs are started "
            "by RunIsolationLauncher; elsewhere use `dagster job execute`."
        )
    from run_isolation.dagster.ends.own_keeper import get_keeper

    get_keeper()  # before Dagster is imported: the keeper has no use for it
    from run_isolation.dagster.deployment import Deployment
    from run_isolation.dagster.worker import Worker

    worker = Worker(Deployment(), run_id, attempt, task_metadata.own_arn, owns_process=True)
    code, what_happened = worker.work()
    click.echo(what_happened, err=True)
    sys.exit(code)
