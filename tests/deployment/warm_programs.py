"""A process that has imported what a Pulumi program of infra/ imports; each program is its fork.

The imports are most of what a `pulumi up` without changes takes of the CPU, and the same each time.
Run as `python -m tests.deployment.warm_programs SOCKET`; ends with its standard input.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import pkgutil
import runpy
import selectors
import socket
import sys
import threading
import traceback
import warnings
from contextlib import suppress
from typing import Any, Final

import pulumi_aws as aws

PACKAGE: Final = "infra"
SCRIPTS: Final = {"infra.__main__", "infra.health_check"}
"""What runs when it is imported."""


def main(path: str) -> None:
    """Serves one program a connection: gets what it is given, answers with its exit code."""
    _warm_up()
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(path)
        listener.listen()
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        while all(key.fileobj is listener for key, _ in selector.select()):
            connection, _ = listener.accept()
            with connection:
                if os.fork() == 0:
                    _serve(connection)
            _bury()


def _warm_up() -> None:
    """Imports everything, and starts nothing: a fork has no other thread than the one that forks.

    Raises:
        RuntimeError: An import has started a thread.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in pkgutil.walk_packages(importlib.import_module(PACKAGE).__path__, "infra."):
            if module.name not in SCRIPTS:
                importlib.import_module(module.name)
        # Read when a name in them is asked for.
        _ = (aws.dynamodb.Table, aws.s3.Bucket, aws.ssm.Parameter, aws.vpc.SecurityGroupEgressRule)
    if len(os.listdir("/proc/self/task")) > 1:
        raise RuntimeError("an import has started a thread: programs can't be forked")
    gc.collect()
    gc.freeze()


def _serve(connection: socket.socket) -> None:
    """The fork's part: runs one program, and ends."""
    code: Any = 1
    try:
        _, [output], _, _ = socket.recv_fds(connection, 1, 1)
        for stream in (sys.stdout, sys.stderr):
            os.dup2(output, stream.fileno())
        os.close(output)
        with connection.makefile() as lines:
            asked = json.loads(lines.readline())
        threading.Thread(target=_end_with, args=[connection], daemon=True).start()
        os.environ.clear()
        os.environ.update(asked["environment"])
        sys.argv = asked["arguments"]
        runpy.run_path(sys.argv[0], run_name="__main__")
        code = 0
    except SystemExit as ended:
        code = ended.code
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        connection.sendall(f"{code}\n".encode())
        os._exit(0)


def _end_with(connection: socket.socket) -> None:
    """Ends this process when nobody waits for its end, such as an engine that is killed."""
    connection.recv(1)
    os._exit(1)


def _bury() -> None:
    with suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass


if __name__ == "__main__":
    main(sys.argv[1])
