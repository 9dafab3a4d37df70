"""``run-isolation code-server`` with one guard less: it gives a run's slot back too early.

`python -m tests.torture.standing.twin ...` takes what it takes. The observer must see it.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from run_isolation.cli.code_server import command
from run_isolation.dagster.patching import replaced

if __name__ == "__main__":
    server = import_module("run_isolation.dagster.standing.run_processes")
    begin = server.RunProcesses.begin

    def begin_without_slot(self: Any, run: Any) -> Callable[[], Any]:
        """Starts the run's process, and takes its start for its end."""
        first_word: Callable[[], Any] = begin(self, run)
        self._give_back(run.run_id)
        return first_word

    with replaced(server.RunProcesses, "begin", begin_without_slot):
        command(prog_name="run-isolation code-server")
