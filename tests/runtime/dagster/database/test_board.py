"""What one process tells all that were forked from the same one are told."""

from __future__ import annotations

import multiprocessing

import pytest

from run_isolation.dagster.database import board

FORK = multiprocessing.get_context("fork")


@pytest.fixture(autouse=True)
def empty() -> None:
    board._memory[: board._HEAD.size] = bytes(board._HEAD.size)


def test_nobody_has_said_anything() -> None:
    assert board.told("one") is None


def test_a_child_tells_its_parent_and_other_children() -> None:
    child = FORK.Process(target=board.tell, args=("one", {"secret": "é"}))
    child.start()
    child.join(30)
    assert board.told("one") == {"secret": "é"}
    assert board.told("other") is None


def test_the_last_word_counts_whatever_it_is_of() -> None:
    board.tell("one", "long" * 100)
    board.tell("other", "short")
    assert board.told("other") == "short"
    assert board.told("one") is None


def test_what_is_half_written_says_nothing() -> None:
    board.tell("one", "word")
    board._memory[board._HEAD.size + 10] ^= 1
    assert board.told("one") is None


def test_too_much_is_left_as_it_was() -> None:
    board.tell("one", "word")
    board.tell("one", "x" * board._BYTES)
    assert board.told("one") == "word"
