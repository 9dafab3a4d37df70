"""Opens a connection at import, as for a database."""

import os
import socket

import dagster as dg

CONNECTION = socket.create_connection(("127.0.0.1", int(os.environ["HOSTILE_PORT"])))


@dg.op
def work() -> None:
    CONNECTION.sendall(b"question")


@dg.job(executor_def=dg.in_process_executor)
def ordinary() -> None:
    work()
