"""What makes a fork unsafe is found, and so is the module that does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

LOOK = """
import json
from run_isolation.dagster.warm.detection import Before

before = Before.look()
import loaded
print(json.dumps([[f.kind, f.what, f.module] for f in before.findings()]))
"""
LISTENER = """
import socket
listener = socket.create_server(("127.0.0.1", 0))
address = "%s:%s" % listener.getsockname()
"""
CASES = {
    "thread": (
        "import threading\n"
        "def waits(): threading.Event().wait()\n"
        "threading.Thread(target=waits, daemon=True, name='stays').start()",
        "thread",
        "thread (stays)",
        "loaded",
    ),
    "thread of the standard library": (
        "import threading\nthread = threading.Thread(target=threading.Event().wait, daemon=True)\n"
        "thread.start()",
        "thread",
        "thread (Thread-",
        None,
    ),
    "thread of C code": (
        "import ctypes\nlibc = ctypes.CDLL(None)\nthread = ctypes.c_ulong()\n"
        "pause = ctypes.cast(libc.pause, ctypes.c_void_p)\n"
        "libc.pthread_create(ctypes.byref(thread), None, pause, None)",
        "thread",
        "of a library",
        None,
    ),
    "connection": (
        LISTENER + "class Client: pass\nclient = Client()\n"
        "client.connection = socket.create_connection(listener.getsockname())\n"
        "accepted = None",
        "connection",
        "opened a connection (127.0.0.1:",
        "loaded",
    ),
    "gRPC channel": (
        "import grpc\nchannel = grpc.insecure_channel('127.0.0.1:9')",
        "grpc",
        "gRPC channel",
        "loaded",
    ),
    "database": (
        "import sqlite3\nat = __file__ + '.db'\n"
        "connection = sqlite3.connect(at)\n"
        "connection.execute('create table t (x)'); connection.commit()",
        "database",
        "a SQLite file (",
        None,
    ),
    "library": (
        "import sys, types\nray = types.ModuleType('ray')\nray.is_initialized = lambda: True\n"
        "sys.modules['ray'] = ray",
        "library",
        "ray initialised",
        None,
    ),
}


def findings(directory: Path, code: str) -> list[list[str | None]]:
    (directory / "loaded.py").write_text(code)
    output = subprocess.run(
        [sys.executable, "-c", LOOK],
        env={**os.environ, "PYTHONPATH": str(directory)},
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    ).stdout
    return [list(finding) for finding in json.loads(output.splitlines()[-1])]


@pytest.mark.parametrize(("code", "kind", "what", "module"), CASES.values(), ids=CASES.keys())
def test_it_is_found(tmp_path: Path, code: str, kind: str, what: str, module: str | None) -> None:
    found = findings(tmp_path, code)
    assert [finding[0] for finding in found].count(kind) == len(found), found
    assert any(what in str(finding[1]) and finding[2] == module for finding in found), found


@pytest.mark.parametrize(
    "code",
    [
        "import threading\nt = threading.Thread(target=int)\nt.start(); t.join()",
        "import socket\nsocket.create_server(('127.0.0.1', 0)).close()",
        "import numpy",  # OpenBLAS has threads, and ends them before a fork
        "file = open(__file__)",
    ],
    ids=["ended thread", "closed socket", "numpy", "file"],
)
def test_what_a_fork_survives_is_not_reported(tmp_path: Path, code: str) -> None:
    if "numpy" in code:
        pytest.importorskip("numpy")
    assert findings(tmp_path, code) == []
