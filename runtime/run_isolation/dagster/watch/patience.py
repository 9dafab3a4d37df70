"""For how long something has been seen to be so, by this process's own clock."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager


class Patience:
    """Remembers what each pass of a daemon has seen since when. What a pass misses is forgotten.

    Args:
        clock: Monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._since: dict[Hashable, float] = {}
        self._seen: dict[Hashable, float] = {}

    @contextmanager
    def one_pass(self) -> Iterator[None]:
        """A pass over everything; one that breaks off changes nothing."""
        self._seen = {}
        yield
        self._since = self._seen

    def waited(self, what: Hashable) -> float:
        """Seconds since the pass that saw it first, without a gap up to this one."""
        now = self._clock()
        return now - self._seen.setdefault(what, self._since.get(what, now))

    def begin_again(self, what: Hashable) -> None:
        """Counts from now: something was done about it."""
        self._seen[what] = self._clock()
