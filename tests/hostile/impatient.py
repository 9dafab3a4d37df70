"""``run-isolation code-server`` that waits only seconds before it kills a canceled run.

`python -m tests.hostile.impatient ...` takes what it takes.
"""

from __future__ import annotations

from functools import partial
from importlib import import_module
from typing import Final

from run_isolation.cli.code_server import command
from run_isolation.dagster.patching import replaced

CANCEL_SECONDS: Final = 5.0
TERM_SECONDS: Final = 2.0

if __name__ == "__main__":
    start = import_module("run_isolation.dagster.warm.start")
    quick = partial(start.Grace, cancel=CANCEL_SECONDS, term=TERM_SECONDS)
    with replaced(start, "Grace", quick):
        command(prog_name="run-isolation code-server")
