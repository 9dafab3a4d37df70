"""What Dagster makes processes with: a context of ``multiprocessing`` that asks for forks.

Runs in: server, which asks the template for runs, or the spawner; run, which asks its keeper for
steps.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from multiprocessing import process
from multiprocessing import queues as mp_queues
from multiprocessing.context import BaseContext
from threading import Lock
from typing import Any

from run_isolation.dagster.warm.keeper import Grace
from run_isolation.dagster.warm.kept_popen import (
    ForkedPopen,
    NotForkedError,
    SilentError,
    SpawnedPopen,
)
from run_isolation.dagster.warm.primitives import EventFd, one_way_queue
from run_isolation.dagster.warm.spawner import Spawner


class WarmProcess(process.BaseProcess):
    """Has the start method ``spawn``, so that what user code starts from it is as it would be."""

    _start_method = "spawn"

    def __init__(self, context: KeptContext, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._context: KeptContext | None = context

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_context": None}

    def _Popen(self, _: process.BaseProcess) -> Any:  # noqa: N802  # multiprocessing's name
        assert self._context is not None  # noqa: S101  # for mypy: no child starts itself
        return self._context.popen(self)


class KeptContext(BaseContext):
    """A context whose processes are spawned, each with a keeper.

    Args:
        grace: Of the keepers.
    """

    def __init__(self, grace: Grace | None = None) -> None:
        self._spawner = Spawner(grace or Grace())

    def get_start_method(self, allow_none: bool = False) -> str:
        """Its name."""
        return ForkedPopen.method

    def Process(self, *args: Any, **kwargs: Any) -> WarmProcess:  # noqa: N802
        """Takes what ``multiprocessing.Process`` takes."""
        return WarmProcess(self, *args, **kwargs)

    def Event(self) -> EventFd:  # noqa: N802  # multiprocessing's name
        """Between any processes."""
        return EventFd()

    def Queue(self, maxsize: int = 0) -> mp_queues.Queue[Any]:  # noqa: N802
        """Without a limit, between two processes."""
        return one_way_queue()

    def popen(self, process_object: WarmProcess) -> Any:
        """Starts a process."""
        return self.spawn(process_object)

    def spawn(self, process_object: WarmProcess) -> Any:
        """Starts one with an interpreter of its own.

        Raises:
            NotForkedError: There is none.
        """
        try:
            return SpawnedPopen(process_object, self._spawner.control())
        except SilentError as silence:
            silence.channel.close()
            raise


class WarmContext(KeptContext):
    """A context whose processes are forked by whoever listens at the other end of ``control``.

    Args:
        control: What ``channel.control_pair`` gave.
        on_loss: Called once, when the other end is gone; processes are spawned from then on.
        grace: Of the keepers of those.
        spawns_after_silence: Whether an end that is silent is as good as gone. Where it is not,
            there are no more processes until it has answered.
    """

    def __init__(
        self,
        control: socket.socket,
        on_loss: Callable[[str], None],
        grace: Grace | None = None,
        *,
        spawns_after_silence: bool = True,
    ) -> None:
        super().__init__(grace)
        self._control = control
        self._on_loss = on_loss
        self._spawns_after_silence = spawns_after_silence
        self._silence = Lock()
        self._silent: socket.socket | None = None
        self._lost = False

    def check(self) -> None:
        """Says so when the other end is gone."""
        if self._lost:
            return
        try:
            gone = self._control.recv(1, socket.MSG_DONTWAIT | socket.MSG_PEEK) == b""
        except BlockingIOError:
            return
        except OSError:
            gone = True
        if gone:
            self._lose("Its process is gone.")

    def popen(self, process_object: WarmProcess) -> Any:
        """Starts a process.

        Raises:
            NotForkedError: There is none.
        """
        self.check()
        if not self._lost:
            try:
                self._refuse_while_silent()
                return ForkedPopen(process_object, self._control)
            except SilentError as silence:
                if not self._spawns_after_silence:
                    with self._silence:
                        self._silent = silence.channel
                    raise
                silence.channel.close()
                self._lose(str(silence))
            except NotForkedError:
                self.check()
                if not self._lost:
                    raise
        return self.spawn(process_object)

    def _refuse_while_silent(self) -> None:
        """Nobody waits for an end that somebody else has waited for in vain.

        Raises:
            NotForkedError: It has not answered since.
        """
        with self._silence:
            if self._silent is None:
                return
            answered = select.poll()
            answered.register(self._silent, select.POLLIN)
            if not answered.poll(0):
                raise NotForkedError("Whoever forks processes has not answered for a while.")
            self._silent.close()
            self._silent = None

    def _lose(self, why: str) -> None:
        if not self._lost:
            self._lost = True
            self._on_loss(why)
