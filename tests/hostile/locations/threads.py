"""Starts a thread at import."""

import threading

import dagster as dg

STOP = threading.Event()
threading.Thread(target=STOP.wait, name="telemetry", daemon=True).start()


@dg.op
def work() -> None: ...


@dg.job(executor_def=dg.in_process_executor)
def ordinary() -> None:
    work()
