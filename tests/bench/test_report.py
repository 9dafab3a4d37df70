from pathlib import Path

import pytest

from bench import report, slots
from bench.harness import Cell, Row, saved

ROW = Row.of("m", "s", "lower", [2.0], {"p": [1.0], "q": None}, "")


def test_a_section_shows_what_is_worse_and_what_went_wrong() -> None:
    cells = [
        Cell(fault="f", contender="ours", outcome="fine", kept=True, observed={}),
        Cell(fault="f", contender="p", outcome="two in", kept=False, observed={}),
        Cell(fault="g", contender="ours", outcome="well", kept=True, observed={}),
    ]

    lines = report.markdown("Title", [ROW], cells, "legend").splitlines()

    assert "| m (s, lower is better) | 2 | 1 | - | 0.50x |" in lines
    assert "| f | fine | ✗ two in |" in lines
    assert "| g | well | - |" in lines
    assert lines[-1] == "legend"


def test_only_what_is_between_the_markers_is_written(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("before\n<!-- bench -->\nold\n<!-- /bench -->\nafter\n")

    report.write_readme(["new"], readme)
    report.write_readme(["newer \\1"], readme)

    assert readme.read_text() == "before\n<!-- bench -->\n\nnewer \\1\n<!-- /bench -->\nafter\n"


def test_a_readme_without_markers_is_an_error(tmp_path: Path) -> None:
    readme = tmp_path / "README.md"
    readme.write_text("no markers")

    with pytest.raises(ValueError, match="no line <!-- bench -->"):
        report.write_readme(["new"], readme)


def test_the_readme_shows_the_committed_results() -> None:
    assert report.markdown(slots.TITLE, *saved("slots"), slots.LEGEND) in report.README.read_text()
