"""Random number generators: seeded anew in each fork, but where import has seeded them itself.

Runs in: server, while it imports user code; run and step, which seed.
"""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch


@dataclass
class Seeds:
    """What import has done to the generators of this process.

    Attributes:
        state: Of Python's own, where it was seeded with a value: Python seeds it anew in each fork.
    """

    state: tuple[Any, ...] | None = None

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Looks on while user code is imported."""
        original, chosen = random.seed, False

        def seed(a: Any = None, version: int = 2) -> None:
            nonlocal chosen
            original(a, version)
            chosen = a is not None

        with patch.object(random, "seed", seed):
            yield
        self.state = random.getstate() if chosen else None

    def anew(self) -> None:
        """In a fork: code that asks for the same numbers each time gets them, other code others."""
        if self.state is None:
            random.seed()
        else:
            random.setstate(self.state)
        numpy: Any = sys.modules.get("numpy")
        if numpy is not None and not _was_seeded(numpy):
            numpy.random.seed()


def _was_seeded(numpy: Any) -> bool:
    """Whether ``numpy.random.seed`` was called: the generator does not say then what it began with.

    https://numpy.org/doc/stable/reference/random/bit_generators/generated/numpy.random.BitGenerator.seed_seq.html
    """
    try:
        return numpy.random.get_bit_generator().seed_seq is None
    except AttributeError:
        return False  # before NumPy 1.25
