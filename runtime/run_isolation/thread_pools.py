"""Pools of threads that bear it when no more threads can be had."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress


def steady_pool(threads: int, name: str) -> ThreadPoolExecutor:
    """A pool with one thread from the beginning; the others are made as they are needed.

    Args:
        threads: The most that it has.
        name: Prefix of their names.
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
    make_steady(pool)
    return pool


def make_steady(pool: ThreadPoolExecutor) -> None:
    """Lets work wait for a thread that is there, where no other one can be had.

    ``submit`` raises then, with the work in its queue. Where gRPC hands calls on, that ends the
    thread that receives them, and the server is deaf for good (grpc/_server.py, ``_serve``).
    """
    pool.submit(int)
    adjust = getattr(pool, "_adjust_thread_count", None)
    if adjust is None:
        return

    def adjusted() -> None:
        with suppress(RuntimeError):
            adjust()

    vars(pool)["_adjust_thread_count"] = adjusted
