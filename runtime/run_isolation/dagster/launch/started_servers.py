"""What standing servers say about the STARTED runs that are on record at them.

Dagster's monitor asks for the health of one run after the other, in the thread in which it also
looks at the timeouts of all others (dagster/_daemon/monitoring/run_monitoring.py). A server has
many of these runs: it is asked once a round, and waited for but shortly.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from run_isolation.dagster.launch.started_tasks import FRESH_SECONDS
from run_isolation.dagster.standing.client import (
    ServerReplacedError,
    ServerSilentError,
    StandingServer,
)
from run_isolation.server_identity import ServerIdentity

HEALTH_SECONDS: Final = 0.3
"""How long a server may take for each of the two questions. It answers within milliseconds, and
where it does not it counts as busy: the next round asks again."""


@dataclass(frozen=True)
class _Answer:
    at: float
    runs: frozenset[str] | ServerSilentError | ServerReplacedError


class StartedServers:
    """Answers of servers, each good for one round.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._answers: dict[ServerIdentity, _Answer] = {}

    def has(self, server: ServerIdentity, run_id: str) -> bool:
        """Whether a server has the run's process.

        That it has not is never told by an answer of before: the run may have begun since.

        Raises:
            ServerSilentError: It does not answer, or did not a moment ago.
            ServerReplacedError: Another task has its address.
        """
        now = self._clock()
        # Standing tasks come and go, and an error keeps all that it was raised through.
        self._answers = {
            one: said for one, said in self._answers.items() if now - said.at < FRESH_SECONDS
        }
        answer = self._answers.get(server)
        if answer is None:
            return self._ask(server, run_id)
        if isinstance(answer.runs, Exception):
            raise answer.runs
        return run_id in answer.runs or self._ask(server, run_id)

    def _ask(self, server: ServerIdentity, run_id: str) -> bool:
        runs: frozenset[str] | ServerSilentError | ServerReplacedError
        try:
            runs = StandingServer(server.address).current_runs(server.task_arn, HEALTH_SECONDS)
        except (ServerSilentError, ServerReplacedError) as error:
            runs = error
        self._answers[server] = _Answer(self._clock(), runs)
        if isinstance(runs, Exception):
            raise runs
        return run_id in runs
