"""What the reconciler asks: Dagster's storage, the standing servers and ECS."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterInstance, DagsterRun, RunsFilter

from run_isolation import start_run_timers
from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.over_runs import OverRuns
from run_isolation.dagster.standing.client import (
    ServerReplacedError,
    ServerSilentError,
    StandingServer,
)
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.decision import Kind
from run_isolation.slots.item import Holder
from run_isolation.slots.reconciler import Reconciler
from run_isolation.tasks import TaskState, describe


@dataclass(frozen=True)
class StoredRuns:
    """Runs as Dagster's storage knows them."""

    instance: DagsterInstance

    def over(self, holders: Sequence[Holder]) -> dict[Holder, str]:
        """Holders whose runs need no process. A run is stored before it asks for a slot."""
        if not holders:
            return {}
        wanted = RunsFilter(run_ids=[holder.run_id for holder in holders])
        runs = {run.run_id: run for run in self.instance.get_runs(wanted)}
        whys = {holder: _why_over(runs.get(holder.run_id)) for holder in holders}
        return {holder: why for holder, why in whys.items() if why is not None}


@dataclass(frozen=True)
class StandingServers:
    """Standing servers at their addresses."""

    logger: logging.Logger
    seconds: float = start_run_timers.ASK_SECONDS
    """For each of their answers."""

    def current_runs(self, server: ServerIdentity) -> frozenset[str] | None:
        """The runs that it has or starts; none where another one is at its address."""
        try:
            return StandingServer(server.address).current_runs(server.task_arn, self.seconds)
        except ServerReplacedError:
            return frozenset()
        except ServerSilentError as error:
            self.logger.warning("%s", error)
            return None


@dataclass(frozen=True)
class EcsTasks:
    """Tasks of the deployment's cluster."""

    deployment: Deployment
    logger: logging.Logger

    def states(self, task_arns: Collection[str]) -> Mapping[str, TaskState]:
        """Their states, or none where ECS can't be asked."""
        try:
            return describe(self.deployment.ecs, self.deployment.manifest.cluster, task_arns)
        except (BotoCoreError, ClientError) as error:
            self.logger.warning("ECS could not be asked about standing tasks: %s", error)
            return {}


def make_reconciler(
    deployment: Deployment,
    instance: DagsterInstance,
    logger: logging.Logger,
    *,
    ask_seconds: float = start_run_timers.ASK_SECONDS,
) -> Reconciler:
    """The reconciler of a deployment.

    Args:
        deployment: The deployment.
        instance: Dagster's storage.
        logger: For what it does.
        ask_seconds: How long a server may take for each answer.

    Raises:
        ManifestError: The deployment is not known.
    """
    return Reconciler(
        deployment.slots,
        StoredRuns(instance),
        StandingServers(logger, ask_seconds),
        EcsTasks(deployment, logger),
        logger,
        ends=OverRuns(instance, logger),
    )


def _why_over(run: DagsterRun | None) -> str | None:
    if run is None:
        return "the run was deleted"
    if run.is_finished:
        return f"the run has ended ({run.status.value})"
    # By value: Dagster 1.13.20 knows no SUSPENDED.
    if run.status.value in ("QUEUED", "SUSPENDED"):
        return f"the run is {run.status.value} and has no process"
    if run_record.is_known(run) and run_record.read(run).kind is Kind.ISOLATED:
        return "the run became isolated"
    return None
