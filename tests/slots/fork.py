"""A start that forks something, and knows at once that it is started."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Fork:
    """What a server's ``Hosting`` starts. There is always room.

    Attributes:
        fork: Makes the process.
    """

    fork: Callable[[], None]

    def reserve(self) -> Callable[[], None]:
        return lambda: None

    def begin(self) -> Callable[[], str]:
        self.fork()
        return lambda: "started"

    def refuse(self, why: str) -> str:
        return why
