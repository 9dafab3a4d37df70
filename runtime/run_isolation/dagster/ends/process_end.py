"""The end of a run's process: within bounds, whatever is left in it, and told on the run.

Runs in: run and step.
"""

from __future__ import annotations

import atexit
import logging
import multiprocessing
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import util
from typing import Any, Final

import dagster._core.executor.child_process_executor as child_processes
from dagster import DagsterInstance
from dagster._core.instance.ref import InstanceRef

from run_isolation.dagster.ends import forked_copies, own_keeper
from run_isolation.dagster.ends.what_was_left import Leavings
from run_isolation.dagster.patching import SeamError

_log: Final = logging.getLogger(__name__)


@dataclass
class ProcessEnd:
    """The end of this process, which executes a run or a step of it.

    Attributes:
        exit_code: Of the process, if it has to be ended.
    """

    instance: InstanceRef
    run_id: str
    step: str | None = None
    exit_code: int = 1
    _pid: int = field(default_factory=os.getpid)
    _told: bool = False
    _telling: threading.Lock = field(default_factory=threading.Lock)

    def begin(self) -> None:
        """Before user code is executed."""
        with suppress(SeamError):
            forked_copies.guard(self.run_id)
        if self.step is None:
            with suppress(SeamError):
                _look_after_steps()
            # What is registered first is called last.
            atexit.register(self._at_exit)

    def over(self) -> None:
        """Dagster is done with the run, or the step. Returns at once."""
        if os.getpid() != self._pid:
            return
        forked_copies.over()
        if self.step is None and own_keeper.keeper is not None:
            own_keeper.keeper.say_over(self.exit_code)
        # Where there can be no thread, there is the keeper.
        with suppress(RuntimeError):
            threading.Thread(target=self._end, name="process-end", daemon=True).start()
            if self._keeper() is None:
                # Nobody else ends it where the storage does not answer.
                most = own_keeper.GRACE_SECONDS + own_keeper.TELL_SECONDS
                bound = threading.Timer(most, os._exit, [self.exit_code])
                bound.daemon = True
                bound.start()

    def _end(self) -> None:
        """Ends this process when it has had its time."""
        time.sleep(own_keeper.GRACE_SECONDS)
        try:
            self._tell(Leavings.found(self._keeper(), hangs=True))
            for child in multiprocessing.active_children():
                child.kill()
        finally:
            os._exit(self.exit_code)

    def _at_exit(self) -> None:
        """All exit handlers of user code are done. What is still there outlives the process."""
        if os.getpid() == self._pid:
            # Where it is still to come: it ends, or waits for, what is no leftover.
            util._exit_function()  # type: ignore[attr-defined]
            self._tell(Leavings.found(self._keeper(), hangs=False))

    def _keeper(self) -> int | None:
        return (
            own_keeper.keeper.pid if own_keeper.keeper is not None and self.step is None else None
        )

    def _tell(self, left: Leavings) -> None:
        """Says it on the run, once."""
        with self._telling:
            if self._told or not left:
                return
            self._told = True
            whose = "this run" if self.step is None else f"step {self.step}"
            try:
                with DagsterInstance.from_ref(self.instance) as instance:
                    if run := instance.get_run_by_id(self.run_id):
                        instance.report_engine_event(left.told(whose), run, step_key=self.step)
            except Exception:
                _log.exception("Not said on run %s: %s", self.run_id, left.told(whose))


@contextmanager
def looked_after(end: ProcessEnd) -> Iterator[ProcessEnd]:
    """Around what Dagster does in this process."""
    end.begin()
    try:
        yield end
    finally:
        end.over()


def execute_step(event_queue: Any, command: Any) -> None:
    """What the process of a step executes, where the executor is Dagster's multiprocess."""
    try:
        end = ProcessEnd(command.instance_ref, command.dagster_run.run_id, command.step_key)
    except AttributeError:  # another command than that of MultiprocessExecutor
        _execute_command(event_queue, command)
        return
    with looked_after(end):
        try:
            _execute_command(event_queue, command)
            end.exit_code = 0
        finally:
            # The executor may be busy for long: until it has read all, the step is not over.
            event_queue.close()
            event_queue.join_thread()


_NAME: Final = "_execute_command_in_child_process"
_execute_command: Final[Any] = getattr(child_processes, _NAME, None)


def _look_after_steps() -> None:
    """Lets this process start steps by ``execute_step``.

    Raises:
        SeamError: This version of Dagster is not built as we know it.
    """
    if _execute_command is None:
        raise SeamError(f"{child_processes.__name__} has no {_NAME}.")
    setattr(child_processes, _NAME, execute_step)
