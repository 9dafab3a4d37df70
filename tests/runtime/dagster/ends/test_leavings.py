"""What is said of what was left: short, whatever there is."""

from __future__ import annotations

from run_isolation.dagster.ends.leavings import Leavings


def test_many_long_names_are_a_short_text() -> None:
    names = [f"'{'x' * 60}'"] * 1000
    told = Leavings(names, names, None, hangs=True).told("this run")
    assert "and 995 more" in told
    assert len(told) < 1000


def test_one_thing_is_spoken_of_as_one() -> None:
    told = Leavings([], ["4711 `sleep 3600`"], None, hangs=False).told("this run")
    assert told.startswith("After its end, this run left process 4711 `sleep 3600`. It was ended")


def test_without_anything_the_place_is_told() -> None:
    told = Leavings([], [], "`flush` (metrics.py, line 12)", hangs=True).told("step load")
    assert told == (
        "Step load was over, and its process was not: it was ended after 5 s, in `flush` "
        "(metrics.py, line 12). Exit handlers have 5 s."
    )


def test_a_process_that_ends_by_itself_and_left_nothing_is_not_spoken_of() -> None:
    assert not Leavings([], [], None, hangs=False)
    assert Leavings([], [], "x", hangs=True)
