"""A standing server and slots: each run starts once, and only while it holds its slot."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Lock
from typing import Final, Generic, TypeVar

from run_isolation.errors import DrainingError, RunIsolationError
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.slots import Slots

_REMEMBERED_STARTS: Final = 1000
"""How many runs a server tells apart from new ones. A caller repeats itself for minutes at most."""

_log: Final = logging.getLogger(__name__)

Answer = TypeVar("Answer")


class Hosting(Generic[Answer]):
    """The runs of one server, from the first call to start one to the end of its process.

    Args:
        server: This server.
        slots: Gives the deployment's slots; called when they are first needed.
        logger: For slots that could not be given back.
        why_draining: Says why no more runs are started, while that is so.
    """

    def __init__(
        self,
        server: ServerIdentity,
        slots: Callable[[], Slots],
        logger: logging.Logger,
        why_draining: Callable[[], str | None] = lambda: None,
    ) -> None:
        self._server = server
        self._slots = slots
        self._logger = logger
        self._why_draining = why_draining
        self._lock = Lock()
        self._answers: OrderedDict[tuple[str, int], Future[Answer]] = OrderedDict()
        self._attempts: dict[str, int] = {}
        self._releases = ThreadPoolExecutor(max_workers=1, thread_name_prefix="release-slot")
        # The first start does not wait for the SDK to be loaded.
        self._releases.submit(slots)

    def start(
        self,
        run_id: str,
        attempt: int,
        start: Callable[[], Answer],
        refuse: Callable[[str], Answer],
        why_not: Callable[[], str | None] = lambda: None,
    ) -> Answer:
        """Starts the run's process once. A repeated call waits for the first and gets its answer.

        Args:
            run_id: The run.
            attempt: Its attempt, which the caller says holds a slot.
            start: Starts the process.
            refuse: Makes the answer of a run that is not started, from the reason.
            why_not: Says why the server can't take it, asked before it signs the slot.

        Raises:
            DrainingError: It was not started here before, and no more runs are.
        """
        with self._lock:
            first = (run_id, attempt) not in self._answers
            # Not remembered as an answer: a server that drains may serve again.
            if first and (why := self._why_draining()) is not None:
                _log.debug("Run %s, attempt %d, is sent elsewhere: %s", run_id, attempt, why)
                raise DrainingError(why)
            answer = self._answers.setdefault((run_id, attempt), Future())
            if len(self._answers) > _REMEMBERED_STARTS:
                self._answers.popitem(last=False)
        if first:
            try:
                refusal = why_not() or self._why_not(run_id, attempt)
                what = "is started" if refusal is None else f"is refused: {refusal}"
                _log.debug("Run %s, attempt %d, %s", run_id, attempt, what)
                answer.set_result(start() if refusal is None else refuse(refusal))
            except BaseException as error:
                answer.set_exception(error)
                raise
        else:
            _log.debug("Run %s, attempt %d, was asked for before.", run_id, attempt)
        return answer.result()

    def starting(self) -> frozenset[str]:
        """Runs that may be about to get a process. Ask for these before asking for processes."""
        with self._lock:
            return frozenset(run for (run, _), answer in self._answers.items() if not answer.done())

    def ended(self, run_id: str) -> None:
        """Gives the slot back, in the background: the run's process is over, however it ended."""
        attempt = self._attempts.pop(run_id, None)
        _log.debug("Run %s, attempt %s, is over here.", run_id, attempt)
        if attempt is not None:
            self._releases.submit(self._release, run_id, attempt)

    def close(self) -> None:
        """Waits until the slots of ended runs are free."""
        self._releases.shutdown(wait=True)

    def _why_not(self, run_id: str, attempt: int) -> str | None:
        try:
            holds = self._slots().host(run_id, attempt, self._server)
        except RunIsolationError as error:
            return f"Whether it holds its slot is not known. {error}"
        if not holds:
            return "It no longer holds its slot."
        self._attempts[run_id] = attempt
        return None

    def _release(self, run_id: str, attempt: int) -> None:
        try:
            self._slots().release(run_id, attempt)
        except RunIsolationError as error:
            self._logger.warning("Slot of run %s is left to the reconciler. %s", run_id, error)
