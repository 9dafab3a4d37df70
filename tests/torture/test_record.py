"""The page of tortures is made from what is kept of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import click
import pytest

from tests.torture import record

MARKED = "# Page\n\n<!-- torture -->\nold\n<!-- /torture -->\n\nMore.\n"


@dataclass
class Found:
    """A report of these figures."""

    seed: int
    found: dict[str, float] = field(default_factory=dict)
    violated: int = 0

    def figures(self) -> dict[str, float]:
        return self.found

    def table(self) -> str:
        return f"seed {self.seed}"

    def model_dump_json(self, *, indent: int) -> str:
        return "{}"


def test_each_seed_is_a_column_and_the_last_of_a_seed_counts(tmp_path: Path) -> None:
    page, results = tmp_path / "page.md", tmp_path / "results"
    page.write_text(MARKED)
    record.keep("slots", Found(11, {"acquires": 1.0}), results)
    record.keep("slots", Found(11, {"acquires": 20_000, "slots leaked": 0}), results)
    record.keep("slots", Found(3, {"acquires": 7}), results)
    record.keep("standing-spawned", Found(3, {"seconds": 1.5}), results)
    record.write_page(page, results)
    written = page.read_text()
    assert "|  | seed 3 | seed 11 |" in written
    assert "| acquires | 7 | 20,000 |" in written
    assert "| slots leaked | - | 0 |" in written
    assert "### The standing container, without warm start" in written
    assert "old" not in written
    assert written.endswith("<!-- /torture -->\n\nMore.\n")


def test_a_page_without_markers_is_refused(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Page\n")
    with pytest.raises(click.ClickException, match="has no line <!-- torture -->"):
        record.write_page(page, tmp_path)


def test_a_violation_is_no_success(capsys: pytest.CaptureFixture[str]) -> None:
    asked = record.Asked(seed=1)
    assert asked.held("slots", Found(1))
    assert not asked.held("slots", Found(1, violated=2))
    assert "seed 1" in capsys.readouterr().out


def test_the_page_is_what_is_kept(tmp_path: Path) -> None:
    """Somebody may have typed a figure."""
    page = tmp_path / "benchmarks.md"
    page.write_text(record.PAGE.read_text())
    record.write_page(page)
    assert page.read_text() == record.PAGE.read_text()
