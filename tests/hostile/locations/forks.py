"""Forks at import: one child that ends at once, and one that stays."""

import os
import signal

import dagster as dg

SHORT = os.fork()
if SHORT == 0:
    os._exit(0)
os.waitpid(SHORT, 0)

LONG = os.fork()
if LONG == 0:
    while True:
        signal.pause()


@dg.op
def work() -> None: ...


@dg.job(executor_def=dg.in_process_executor)
def ordinary() -> None:
    work()
