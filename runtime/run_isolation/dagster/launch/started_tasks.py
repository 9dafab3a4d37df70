"""The tasks of STARTED runs, all of them in one call per hundred.

Dagster's monitor asks for the health of one run after the other
(dagster/_daemon/monitoring/run_monitoring.py). The first question of a round is answered for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter

from run_isolation.dagster import run_record
from run_isolation.dagster.deployment import Deployment
from run_isolation.tasks import TaskState, describe

FRESH_SECONDS: Final = 10
"""How long an answer of ECS may wait for its question, where a round takes long."""


class StartedTasks:
    """Answers of ECS that nobody has asked for yet.

    Of a run's own task each is given once: whoever asks again has begun another round, and wants to
    know it anew. That of a standing task, and trouble with ECS, are told to all of a round.
    """

    def __init__(self, deployment: Deployment, clock: Callable[[], float] = time.monotonic) -> None:
        self._deployment = deployment
        self._clock = clock
        self._states: dict[str, TaskState] = {}
        self._trouble: BotoCoreError | ClientError | None = None
        self._asked_at: float | None = None

    def state(self, instance: DagsterInstance, task_arn: str, *, shared: bool = False) -> TaskState:
        """The state of one of them.

        Args:
            instance: Knows which runs are STARTED.
            task_arn: The task.
            shared: Whether it is a standing one, of many runs.

        Raises:
            botocore.exceptions.BotoCoreError: ECS could not be asked.
            botocore.exceptions.ClientError: ECS refused.
        """
        fresh = self._asked_at is not None and self._clock() - self._asked_at < FRESH_SECONDS
        if fresh and self._trouble is not None:
            raise self._trouble
        if not fresh or task_arn not in self._states:
            self._ask(instance, task_arn)
        return self._states[task_arn] if shared else self._states.pop(task_arn)

    def _ask(self, instance: DagsterInstance, task_arn: str) -> None:
        started = instance.get_runs(RunsFilter(statuses=[DagsterRunStatus.STARTED]))
        known = [run_record.read(run) for run in started if run_record.is_known(run)]
        wanted = {ours.task_arn for ours in known}
        self._states, self._trouble = {}, None
        try:
            self._states = describe(
                self._deployment.ecs_once,
                self._deployment.manifest.cluster,
                {task_arn, *(arn for arn in wanted if arn)},
            )
        except (BotoCoreError, ClientError) as error:
            self._trouble = error
            raise
        finally:
            self._asked_at = self._clock()
