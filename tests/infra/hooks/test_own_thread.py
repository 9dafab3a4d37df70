import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar

from infra.hooks.own_thread import in_own_thread

VARIABLE: ContextVar[str] = ContextVar("VARIABLE")


def test_it_does_not_wait_for_the_threads_of_the_loop_nor_for_each_other() -> None:
    registered, together = threading.Event(), threading.Barrier(100, timeout=20)

    async def program() -> None:
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(max_workers=1))
        # As the SDK's threads do, which wait for the engine, which waits for the hook.
        registration = loop.run_in_executor(None, registered.wait, 20)
        await asyncio.gather(*(in_own_thread(together.wait) for _ in range(100)))
        await in_own_thread(registered.set)
        assert await registration

    asyncio.run(program())


def test_it_has_the_callers_context_and_gives_the_result() -> None:
    VARIABLE.set("here")
    assert asyncio.run(in_own_thread(VARIABLE.get)) == "here"
