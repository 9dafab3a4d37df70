"""What a container runs in place of its command; with the standard library alone, as it is quick.

A copy is the program, with the line below filled in.
"""

import json
import os
import signal
import socket
import sys

TO_FILL_IN = 'ADDRESS, MODULE, REAL = "", "", ""'
"""This line."""
ADDRESS, MODULE, REAL = "", "", ""
FORKED = ("run",)
"""Subcommands of `run-isolation`; the others are started as ever."""
COLD = "TESTS_COLD_TASK"
"""Environment variable of tasks that are started as ever, too."""


def main() -> int:
    """Stands for the forked process; its exit code, where a signal is 128 and its number."""
    if MODULE == "run_isolation.cli" and (COLD in os.environ or sys.argv[1] not in FORKED):
        os.execv(REAL, [REAL, *sys.argv[1:]])
    asked = {
        "module": MODULE,
        "arguments": [os.path.basename(sys.argv[0]), *sys.argv[1:]],
        "environment": dict(os.environ),
        "directory": os.getcwd(),
        "pid": os.getpid(),
    }
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(f"\0{ADDRESS}")
        socket.send_fds(connection, [b"\n"], [1, 2])
        connection.sendall(json.dumps(asked).encode() + b"\n")
        signal.signal(signal.SIGTERM, lambda number, frame: connection.sendall(b"T"))
        answer = connection.recv(16)
    return int(answer or 1)


if __name__ == "__main__":
    os._exit(main())
