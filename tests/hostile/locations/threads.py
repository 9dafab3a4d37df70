"""Starts a thread at import."""

import threading

import dagster as dg

STOP = threading.Event()


def report() -> None:
    """Would send numbers to somebody."""
    STOP.wait()


threading.Thread(target=report, name="telemetry", daemon=True).start()


@dg.op
def work() -> None: ...


@dg.job(executor_def=dg.in_process_executor)
def ordinary() -> None:
    work()
