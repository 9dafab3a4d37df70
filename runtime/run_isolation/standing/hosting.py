"""A standing server and slots: each run starts once, and only while it holds its slot.

A start has three answers: the run is started, it is refused, or that is not known yet. What is kept
for a run is given back on each way but the first, and then when its process is over.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack
from functools import partial
from threading import Lock, Thread
from typing import Any, Final, Generic, Protocol, TypeVar

from run_isolation.errors import (
    DrainingError,
    RunIsolationError,
    StartRefusedError,
    StartUnfinishedError,
)
from run_isolation.server_identity import ServerIdentity
from run_isolation.slots.slots import Slots
from run_isolation.thread_pools import steady_pool

_REMEMBERED_STARTS: Final = 1000
"""How many runs a server tells apart from new ones. A caller repeats itself for minutes at most."""

_log: Final = logging.getLogger(__name__)

Answer = TypeVar("Answer")
Given = TypeVar("Given", covariant=True)


class Launch(Protocol[Given]):
    """How a server starts one run."""

    def reserve(self) -> Callable[[], None]:
        """Keeps room for it, and returns what gives the room back.

        Raises:
            StartRefusedError: There is too little.
        """

    def begin(self) -> Callable[[], Given]:
        """Starts its process, and returns what waits for the process's first word.

        Raises:
            Exception: There is no process, and will be none.
        """

    def refuse(self, why: str) -> Given:
        """The answer of a run that is not started."""


class Hosting(Generic[Answer]):
    """The runs of one server, from the first call to start one to the end of its process.

    Args:
        server: This server.
        slots: Gives the deployment's slots; called when they are first needed.
        logger: For slots that could not be given back, and starts that failed.
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
        self._permits: dict[str, ExitStack] = {}
        self._given_back: set[tuple[str, int]] = set()
        self._closed: Future[None] = Future()
        self._releases = steady_pool(1, "release-slot")
        # The first start does not wait for the SDK to be loaded.
        self._releases.submit(slots)

    def start(
        self, run_id: str, attempt: int, launch: Launch[Answer], seconds: float | None = None
    ) -> Answer:
        """Starts the run's process once, in a thread of its own.

        A repeated call gets the answer of the first, but for a refusal: then it is tried anew.

        Args:
            run_id: The run.
            attempt: Its attempt, which the caller says holds a slot.
            launch: How it is started.
            seconds: How long to wait for an answer; None: for as long as it takes.

        Raises:
            DrainingError: It was not started here before, and no more runs are.
            StartUnfinishedError: It is being started, as far as is known. A repeated call, too, is
                told so at once.
        """
        with self._lock:
            answer = self._answers.get((run_id, attempt))
            first = answer is None
            if answer is None:
                # Not remembered as an answer: a server that drains may serve again.
                if (why := self._why_draining()) is not None:
                    _log.debug("Run %s, attempt %d, is sent elsewhere: %s", run_id, attempt, why)
                    raise DrainingError(why)
                answer = self._answers[run_id, attempt] = Future()
                self._forget_the_oldest()
        if first:
            carry_out = partial(self._carry_out, run_id, attempt, launch, answer)
            try:
                Thread(target=carry_out, name="start-run", daemon=True).start()
            except RuntimeError as error:
                self._refuse(run_id, attempt, launch, answer, f"The server has no thread: {error}")
            either: list[Future[Any]] = [answer, self._closed]
            wait(either, seconds, FIRST_COMPLETED)
        else:
            _log.debug("Run %s, attempt %d, was asked for before.", run_id, attempt)
        if not answer.done():
            raise StartUnfinishedError(f"Run {run_id} is being started.")
        return answer.result()

    def starting(self) -> frozenset[str]:
        """Runs that may be about to get a process. Ask for these before asking for processes."""
        with self._lock:
            return frozenset(run for (run, _), answer in self._answers.items() if not answer.done())

    def ended(self, run_id: str) -> None:
        """Gives back what is kept for the run, whose process is over. May be called again.

        The slot in the background.
        """
        permit = self._permits.pop(run_id, None)
        if permit is not None:
            _log.debug("Run %s is over here.", run_id)
            permit.close()

    def close(self) -> None:
        """Waits until the slots of ended runs are free, and lets no call wait any longer."""
        if not self._closed.done():
            self._closed.set_result(None)
        self._releases.shutdown(wait=True)

    def _carry_out(
        self, run_id: str, attempt: int, launch: Launch[Answer], answer: Future[Answer]
    ) -> None:
        try:
            first_word = self._begun(run_id, attempt, launch)
        except StartRefusedError as refusal:
            self._refuse(run_id, attempt, launch, answer, str(refusal))
        except BaseException as error:
            self._logger.exception("Run %s could not be started.", run_id)
            why = f"Its process could not be started: {type(error).__name__}: {error}"
            self._refuse(run_id, attempt, launch, answer, why)
        else:
            _log.debug("Run %s, attempt %d, is started.", run_id, attempt)
            try:
                answer.set_result(first_word())
            except BaseException as error:
                self._logger.exception("What run %s says was not understood.", run_id)
                answer.set_result(launch.refuse(f"{type(error).__name__}: {error}"))

    def _begun(self, run_id: str, attempt: int, launch: Launch[Answer]) -> Callable[[], Answer]:
        """What waits for the first word of the process that there is now.

        Raises:
            Exception: There is none, and nothing is kept for it.
        """
        if run_id in self._permits:
            raise StartRefusedError("An older attempt of it has a process here.")
        with ExitStack() as kept:
            kept.callback(launch.reserve())
            self._sign(run_id, attempt)
            kept.callback(self._give_back_slot, run_id, attempt)
            # Before the process begins, which may be over in no time.
            self._permits[run_id] = kept.pop_all()
        try:
            return launch.begin()
        except BaseException:
            self.ended(run_id)
            raise

    def _sign(self, run_id: str, attempt: int) -> None:
        try:
            # A release that is still on its way would take the slot from a process.
            leaves = (run_id, attempt) in self._given_back
            holds = not leaves and self._slots().host(run_id, attempt, self._server)
        except RunIsolationError as error:
            raise StartRefusedError(f"Whether it holds its slot is not known. {error}") from error
        if not holds:
            raise StartRefusedError("It no longer holds its slot.")

    def _refuse(
        self,
        run_id: str,
        attempt: int,
        launch: Launch[Answer],
        answer: Future[Answer],
        why: str,
    ) -> None:
        _log.debug("Run %s, attempt %d, is refused: %s", run_id, attempt, why)
        refusal = launch.refuse(why)
        with self._lock:
            self._answers.pop((run_id, attempt), None)
        answer.set_result(refusal)

    def _forget_the_oldest(self) -> None:
        if len(self._answers) > _REMEMBERED_STARTS:
            settled = (start for start, answer in self._answers.items() if answer.done())
            if (oldest := next(settled, None)) is not None:
                self._answers.pop(oldest)

    def _give_back_slot(self, run_id: str, attempt: int) -> None:
        self._given_back.add((run_id, attempt))
        try:
            self._releases.submit(self._release, run_id, attempt)
        except RuntimeError:  # the server has ended, and the reconciler comes
            _log.debug("Slot of run %s is left to the reconciler.", run_id)

    def _release(self, run_id: str, attempt: int) -> None:
        try:
            self._slots().release(run_id, attempt)
        except Exception as error:
            # Of a client that could not be made, too: in a thread that nobody asks for errors.
            self._logger.warning("Slot of run %s is left to the reconciler. %s", run_id, error)
        else:
            # From here on the table knows it.
            self._given_back.discard((run_id, attempt))
