import json
from collections.abc import Callable
from pathlib import Path

import pytest

from bench import harness
from bench.harness import Cell, Row, interleaved, save, saved


@pytest.mark.parametrize(("better", "ratio"), [("higher", 0.5), ("lower", 1.5)])
def test_the_ratio_is_beside_the_best_peer(better: harness.Better, ratio: float) -> None:
    peers = {"slow": [3.0], "fast": [4.0], "unable": None}

    row = Row.of("m", "s", better, [9.0, 2.0, 1.0], peers, "")

    assert row.ours == 2.0  # the median
    assert row.peers == {"slow": 3.0, "fast": 4.0, "unable": None}
    assert row.ratio == ratio
    assert row.runs == 3


def test_contenders_take_turns_and_each_begins_once() -> None:
    order: list[str] = []

    def runner(name: str) -> Callable[[], float]:
        def run() -> float:
            order.append(name)
            return float(len(order))

        return run

    values = interleaved({name: runner(name) for name in "abc"}, runs=3)

    assert "".join(order) == "abc" + "bca" + "cab"
    assert values == {"a": [1, 6, 8], "b": [2, 4, 9], "c": [3, 5, 7]}


def test_results_come_back_as_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    row = Row.of("m", "s", "lower", [1.0], {"peer": [2.0]}, "a note")
    cell = Cell(fault="f", contender="ours", outcome="fine", kept=True, observed={"n": 1})

    save("x", [row], [cell])

    assert saved("x") == ([row], [cell])
    assert saved("never run") == ([], [])


def test_cells_alone_are_a_table_with_an_entry_for_each_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(harness, "RESULTS", tmp_path)
    cells = [
        Cell(fault="f", contender="ours", outcome="fine", kept=True, observed={"n": 1}),
        Cell(fault="f", contender="peer", outcome="lost", kept=False, observed={"n": 2}),
        Cell(fault="g", contender="ours", outcome="fine", kept=True, observed={}),
    ]

    save("x", [], cells)

    table = json.loads((tmp_path / "x.json").read_text())
    assert [list(entry) for entry in table] == [["fault", "ours", "peer"], ["fault", "ours"]]
    assert table[0]["peer"] == {"outcome": "lost", "kept": False, "observed": {"n": 2}}
    assert saved("x") == ([], cells)
