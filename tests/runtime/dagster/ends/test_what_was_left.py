"""What is said of what was left: short, whatever there is."""

from __future__ import annotations

import multiprocessing
import os
import time
from multiprocessing import forkserver

from run_isolation.dagster.ends.what_was_left import Leavings


def test_many_long_names_are_a_short_text() -> None:
    names = [f"'{'x' * 60}'"] * 1000
    told = Leavings(names, names, None, hangs=True).told("this run")
    assert "and 995 more" in told
    assert len(told) < 1000


def test_one_thing_is_spoken_of_as_one() -> None:
    told = Leavings([], ["4711 `sleep 3600`"], None, hangs=False).told("this run")
    assert told == (
        "This run left process 4711 `sleep 3600` running when it ended. It was stopped with its "
        "process. Work that should continue belongs in an op that waits for it."
    )


def test_without_anything_the_place_is_told() -> None:
    told = Leavings([], [], "`flush` (metrics.py, line 12)", hangs=True).told("step load")
    assert told == (
        "Step load was over but its process had not exited: it was killed after 5 s, while in "
        "`flush` (metrics.py, line 12). Exit handlers have 5 s."
    )


def test_where_no_place_is_known_none_is_told() -> None:
    told = Leavings([], [], None, hangs=True).told("this run")
    assert told == (
        "This run was over but its process had not exited: it was killed after 5 s. "
        "Exit handlers have 5 s."
    )


def test_a_worker_is_told_from_the_server_that_forked_it() -> None:
    worker = multiprocessing.get_context("forkserver").Process(target=time.sleep, args=(60,))
    worker.start()
    try:
        left = Leavings.found(os.getpid(), hangs=True)
    finally:
        worker.kill()
        worker.join()
    server = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]  # no other way
    told = [int(told.split()[0]) for told in left.processes]
    assert worker.pid in told
    assert server not in told
    assert left.busy is None


def test_a_process_that_ends_by_itself_and_left_nothing_is_not_spoken_of() -> None:
    assert not Leavings([], [], None, hangs=False)
    assert Leavings([], [], "x", hangs=True)
