"""Ports that tests and tools give to servers."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tools import ports


@pytest.fixture
def first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """Of the four that there are."""
    first = ports.free_port(together=4)
    (tmp_path / "range").write_text(f"{first + 4}\t60999\n")
    monkeypatch.setattr(ports, "_EPHEMERAL", tmp_path / "range")
    monkeypatch.setattr(ports, "_LOWEST", first)
    return first


def test_one_that_is_taken_is_not_given(first: int) -> None:
    with (
        socket.create_server(("127.0.0.1", first)),
        socket.create_server(("127.0.0.1", first + 2)),
    ):
        assert {ports.free_port() for _ in range(50)} == {first + 1, first + 3}


def test_all_that_are_asked_for_together_are_free(first: int) -> None:
    with socket.create_server(("127.0.0.1", first + 1)):
        assert {ports.free_port(together=2) for _ in range(50)} == {first + 2}
