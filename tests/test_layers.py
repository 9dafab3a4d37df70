"""No import runs upward, and there is no circle: of modules anywhere, of folders in the runtime."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TREES = {"run_isolation": ROOT / "runtime", "localaws": ROOT, "infra": ROOT, "tools": ROOT}

CORE = "run_isolation"
SHARED = f"{CORE}.*"
"""The modules beside the wings."""
BELOW: Mapping[str, frozenset[str]] = {
    SHARED: frozenset(),
    f"{CORE}.isolated": frozenset({SHARED}),
    f"{CORE}.slots": frozenset({SHARED}),
    f"{CORE}.standing": frozenset({SHARED, f"{CORE}.slots"}),
    f"{CORE}.dagster": frozenset({SHARED, f"{CORE}.isolated", f"{CORE}.slots", f"{CORE}.standing"}),
}
"""What each part may import, beside itself. ``run_isolation`` itself is the face of all."""

Graph = Mapping[str, frozenset[str]]


def modules(package: str) -> dict[str, Path]:
    """Files by module; a package is its ``__init__``."""
    top = TREES[package]
    names = {}
    for file in sorted((top / package).rglob("*.py")):
        parts = file.relative_to(top).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return names


def imported(file: Path) -> Iterator[tuple[str, str | None]]:
    """Module and name of each import, wherever in the file it is."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from ((node.module, alias.name) for alias in node.names)


def graph(package: str) -> Graph:
    """What each module of a package imports of it."""
    known = modules(package)
    found = {}
    for name, file in known.items():
        there = {
            f"{module}.{member}" if f"{module}.{member}" in known else module
            for module, member in imported(file)
        }
        found[name] = frozenset(there & known.keys() - {name})
    return found


def circle(edges: Mapping[str, Iterable[str]]) -> str:
    """The first circle, as a path; nothing where there is none."""
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        return " <- ".join(error.args[1])
    return ""


def part(module: str) -> str:
    """Which part of the runtime a module belongs to."""
    package = ".".join(module.split(".")[:2])
    return package if package in BELOW else SHARED


@pytest.mark.parametrize("package", TREES)
def test_no_module_imports_itself_by_way_of_others(package: str) -> None:
    edges = graph(package)
    assert len(edges) > 10
    assert circle(edges) == ""


def test_no_import_of_the_runtime_runs_upward() -> None:
    outside = (f"{CORE}.cli", CORE)
    upward = [
        f"{module} imports {other}"
        for module, others in graph(CORE).items()
        if not module.startswith(outside[0]) and module != CORE
        for other in others
        if part(other) not in BELOW[part(module)] | {part(module)}
    ]
    assert upward == []


def test_no_folder_of_the_runtime_imports_itself_by_way_of_others() -> None:
    edges: dict[str, set[str]] = {}
    for module, others in graph(CORE).items():
        folder = module.rsplit(".", 1)[0]
        if folder.count(".") == 2:  # run_isolation.dagster.launch and its like
            folders = {other.rsplit(".", 1)[0] for other in others} - {folder}
            edges.setdefault(folder, set()).update(f for f in folders if f.count(".") == 2)
    assert len(edges) > 5
    assert circle(edges) == ""


@pytest.mark.parametrize("folder", ["warm", "ends", "processes"])
def test_each_module_says_in_which_process_it_runs(folder: str) -> None:
    processes = {"server", "template", "keeper", "run", "step"}
    for file in (ROOT / "runtime" / CORE / "dagster" / folder).glob("[!_]*.py"):
        said = ast.get_docstring(ast.parse(file.read_text())) or ""
        lines = [line for line in said.splitlines() if line.startswith("Runs in: ")]
        assert len(lines) == 1, file
        assert set(lines[0].replace(",", " ").replace(";", " ").replace(".", " ").split()) & (
            processes
        ), file
