"""Whoever forks processes and was silent is asked again once it has answered."""

from __future__ import annotations

import select
import socket
from threading import Thread
from types import SimpleNamespace
from typing import Any

import pytest

from run_isolation.dagster.warm import channel, fork_context
from run_isolation.dagster.warm.fork_context import WarmContext


def test_of_two_starts_after_a_silence_neither_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = channel.control_pair()
    silent, answers = socket.socketpair()
    answers.send(b"x")
    context = WarmContext(ours, lambda _: None, spawns_after_silence=False)
    context._silent = silent
    others: list[Thread] = []

    def beside_another() -> Any:
        if not others:
            others.append(Thread(target=context._refuse_while_silent))
            others[0].start()
            others[0].join(0.2)
        return select.poll()

    with ours, theirs, answers, monkeypatch.context() as patched:
        poll = SimpleNamespace(poll=beside_another, POLLIN=select.POLLIN)
        patched.setattr(fork_context, "select", poll)
        context._refuse_while_silent()
        others[0].join(10)
    assert context._silent is None
    assert silent.fileno() == -1
