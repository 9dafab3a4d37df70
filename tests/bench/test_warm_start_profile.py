"""What the profile of a run counts, and what not."""

from bench.warm_start.profile import RATE, functions, imports


def test_only_outermost_imports_count() -> None:
    text = (
        "import time:       100 |        100 |   json.decoder\n"
        "a line of a log\n"
        "import time:       200 |        300 | json\n"
    )
    assert imports(text) == [(0.3, "json")]


def test_functions_of_run_processes_count_once_in_each_stack() -> None:
    stacks = [
        "main (a.py:1);live (warm/child.py:2);load (b.py:3);load (b.py:3) 5",
        "main (a.py:1);serve (server.py:9) 100",
    ]
    found = {name: milliseconds for milliseconds, name in functions(stacks, runs=2)}
    assert found["load (b.py:3)"] == 5 * 1000 / RATE / 2
    assert found.keys() == {"live (warm/child.py:2)", "load (b.py:3)"}
