"""Opens a gRPC channel at import, as clients of Google's services do."""

import os

import dagster as dg
import grpc

CHANNEL = grpc.insecure_channel(f"127.0.0.1:{os.environ['HOSTILE_PORT']}")


@dg.op
def work() -> None: ...


@dg.job(executor_def=dg.in_process_executor)
def ordinary() -> None:
    work()
