"""The names of `tests.waiting`, for tests that know them from here."""

from tests.waiting import PATIENCE_SECONDS, eventually

__all__ = ["PATIENCE_SECONDS", "eventually"]
