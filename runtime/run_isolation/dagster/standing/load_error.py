"""User code that can't be loaded: what went wrong in it, without the frames of whoever loads it."""

from __future__ import annotations

import contextlib
import importlib
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path

import click
import dagster
import dagster_shared

import run_isolation

_LOADERS = tuple(
    f"{Path(str(package.__file__)).parent}/"
    for package in (dagster, dagster_shared, run_isolation, click, importlib)
)


@contextlib.contextmanager
def load_error_in_short() -> Iterator[None]:
    """Ends the process with 1 where the block fails; the error is on stderr, as its log's end.

    Raises:
        SystemExit: The block failed.
    """
    try:
        yield
    except Exception as error:
        sys.stderr.write(in_short(error))
        raise SystemExit(1) from None


def in_short(error: BaseException) -> str:
    """An error with its causes, and of the frames only those of user code and its libraries."""
    whole = traceback.TracebackException.from_exception(error)
    one: traceback.TracebackException | None = whole
    while one is not None:
        one.stack = traceback.StackSummary.from_list(
            [frame for frame in one.stack if not _is_loader(frame.filename)]
        )
        one = one.__cause__ or one.__context__
    return "".join(["The code location can't be loaded.\n", *whole.format()])


def _is_loader(filename: str) -> bool:
    command = Path(filename).name == "run-isolation"
    loaders = ("<frozen importlib", str(contextlib.__file__), *_LOADERS)
    return command or filename.startswith(loaders)
