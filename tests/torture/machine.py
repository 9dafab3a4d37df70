"""`python -m tests.torture machine`: the long form of `tests/slots/test_machine.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

import click

from tests.torture.record import Asked

EXAMPLES: Final = "SLOTS_MACHINE_EXAMPLES"
"""Environment variable of the test: sequences of steps."""
SEED: Final = "SLOTS_MACHINE_SEED"
"""Environment variable of the test; without it the examples are the same each time."""
_CHECKOUT: Final = Path(__file__).parents[2]
_TEST: Final = "tests/slots/test_machine.py::test_what_slots_promise_holds"


@click.command()
@click.option("--examples", default=1_000, show_default=True, help="Sequences of 50 steps each.")
@click.pass_obj
def machine(asked: Asked, examples: int) -> bool:
    """Take the state machine of slots through random steps, on a network that loses and delays.

    Fails if it ever is in a state that slots promise not to come to.
    """
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "--timeout", "0", _TEST],
        cwd=_CHECKOUT,
        env={**os.environ, EXAMPLES: str(examples), SEED: str(asked.seed)},
        check=False,
    )
    return run.returncode == 0
