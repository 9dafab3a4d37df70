"""Blocking calls of hooks, each in a thread of its own.

Pulumi's SDK waits for the engine in the threads of the event loop's default executor, one for each
resource that is on its way. A hook that needs one of those threads waits for the engine, too, which
waits for the hook. A pool for all hooks would only move the limit; a call takes seconds,
the deletion of a family of many revisions minutes, and there are no more at once than the engine
has steps.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_own_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Awaits a blocking call: `asyncio.to_thread`, but nothing else can be in its way."""
    run = contextvars.copy_context().run
    executor = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hook")
    try:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(executor, partial(run, call, *args, **kwargs))
    finally:
        # Over already, unless the hook was canceled: then nobody waits for the call's end.
        executor.shutdown(wait=False)
