"""The run launcher: carries out what the coordinator decided."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cached_property
from typing import Any, Final, Self

from dagster import DagsterRun
from dagster._config.config_schema import UserConfigSchema
from dagster._core.launcher import (
    CheckRunHealthResult,
    LaunchRunContext,
    ResumeRunContext,
    RunLauncher,
)
from dagster._serdes import ConfigurableClass
from dagster._serdes.config_class import ConfigurableClassData

from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.ends.stored_end import is_over
from run_isolation.dagster.launch.isolated_launch import IsolatedLauncher
from run_isolation.dagster.launch.isolated_runs import IsolatedRuns
from run_isolation.dagster.launch.non_isolated_runs import ServerRuns
from run_isolation.dagster.launch.post_mortem import output
from run_isolation.slots.decision import Kind

_log: Final = logging.getLogger(__name__)


class RunIsolationLauncher(RunLauncher, ConfigurableClass):
    """Launches, terminates and watches runs of both kinds. It has no config: the manifest says all.

    A run is non-isolated only by the coordinator's word, which it writes on the run before it
    launches it. Whatever comes from the queue, or was submitted past our coordinator, is isolated.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        super().__init__()  # type: ignore[no-untyped-call]  # of Dagster

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """As Dagster loaded it."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """None."""
        return {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> Self:
        """As Dagster makes it, in every process that opens the instance: looks nothing up."""
        return cls(inst_data)

    @cached_property
    def _deployment(self) -> Deployment:
        return Deployment()

    @cached_property
    def _isolated(self) -> IsolatedRuns:
        return IsolatedRuns(self._deployment)

    @cached_property
    def _non_isolated(self) -> ServerRuns:
        return ServerRuns(self._deployment)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Starts a STARTING run.

        Raises:
            RunIsolationError: An isolated run could not be started; Dagster fails it and says why.
        """
        run = context.dagster_run
        _log.debug("Run %s is launched, by what is on record: %s", run.run_id, run_record.read(run))
        if _is_non_isolated(run):
            self._non_isolated.launch(self._instance, context)
        else:
            IsolatedLauncher(self._deployment).launch(self._instance, run)

    def terminate(self, run_id: str) -> bool:
        """Ends a run by the task and address on record; names may lead elsewhere by now."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            _log.debug("Run %s is not canceled: it is over.", run_id)
            return False
        self._instance.report_run_canceling(run)
        if is_over(self._instance, run_id):
            return False
        # Its task may have been noted at this very moment.
        run = self._instance.get_run_by_id(run_id) or run
        _log.debug("Run %s is canceled, by what is on record: %s", run_id, run_record.read(run))
        if _is_non_isolated(run):
            return self._non_isolated.terminate(self._instance, run)
        return self._isolated.terminate(self._instance, run)

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Of both kinds."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether a STARTED run's process is there.

        Dagster fails a run on anything but RUNNING and SUCCESS
        (dagster/_daemon/monitoring/run_monitoring.py): doubt is RUNNING, AWS trouble is raised.
        """
        if _is_non_isolated(run):
            return self._non_isolated.health(self._instance, run)
        return self._isolated.health(self._instance, run)

    def get_run_worker_debug_info(
        self, run: DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """What ECS says about the run's task, the end of its output, and where all of it is."""
        lines = include_container_logs is not False
        if not _is_non_isolated(run):
            return self._isolated.debug_info(run, lines=lines)
        said, task_arn = self._non_isolated.debug_info(run), run_record.read(run).task_arn
        if said is None or task_arn is None:
            return said
        return f"{said}\n{output(self._deployment, run, 'standing', task_arn, lines=lines)}"

    @property
    def supports_resume_run(self) -> bool:
        """In a task of its own, whatever the run was before."""
        return True

    def resume_run(self, context: ResumeRunContext) -> None:
        """Goes on with a STARTED run whose process is gone, in a task of its own."""
        IsolatedLauncher(self._deployment).resume(self._instance, context.dagster_run)

    def dispose(self) -> None:
        """Nothing to give back: no thread, no lock, no connection that outlives the process."""

    def join(self, timeout: int = 30) -> None:
        """Nothing to wait for: no run is a child of this process."""


def _is_non_isolated(run: DagsterRun) -> bool:
    return run_record.read(run).kind is Kind.NON_ISOLATED
