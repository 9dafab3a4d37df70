"""What makes a fork unsafe is found, and so is the module that does it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

LOOK = """
import json
from run_isolation.dagster.warm.detection import Import

with Import.watched() as imported:
    import loaded
print(json.dumps([[f.kind, f.what, f.module] for f in imported.findings()]))
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
        "loaded",
    ),
    "thread of C code": (
        "import ctypes\nlibc = ctypes.CDLL(None)\nthread = ctypes.c_ulong()\n"
        "pause = ctypes.cast(libc.pause, ctypes.c_void_p)\n"
        "libc.pthread_create(ctypes.byref(thread), None, pause, None)",
        "thread",
        "of a library (python)",
        "loaded",
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
    "event loop": (
        "import asyncio\nloop = asyncio.new_event_loop()",
        "event loop",
        "opened an event loop (epoll)",
        "loaded",
    ),
    "database": (
        "import sqlite3\nat = __file__ + '.db'\n"
        "connection = sqlite3.connect(at)\n"
        "connection.execute('create table t (x)'); connection.commit()",
        "database",
        "a SQLite file (",
        "loaded",
    ),
    "LMDB": (
        "file = open(__file__ + '.mdb', 'w+b')\n"
        "file.write(bytes(16) + (0xBEEFC0DE).to_bytes(4, 'little')); file.flush()",
        "database",
        "a LMDB file (",
        "loaded",
    ),
    "HDF5": (
        "file = open(__file__ + '.h5', 'w+b')\n"
        "file.write(b'\\x89HDF\\r\\n\\x1a\\n' + bytes(100)); file.flush()",
        "database",
        "a HDF5 file (",
        "loaded",
    ),
    "process": (
        "import subprocess\nPIPE = subprocess.PIPE\n"
        "process = subprocess.Popen(['cat'], stdin=PIPE, stdout=PIPE, stderr=PIPE)",
        "process",
        "started a process and has a pipe to it (`cat`)",
        "loaded",
    ),
    "library": (
        "import sys, types\nray = types.ModuleType('ray')\nray.is_initialized = lambda: True\n"
        "sys.modules['ray'] = ray",
        "library",
        "ray initialised",
        None,
    ),
}

HARMLESS = {
    "ended thread": "import threading\nt = threading.Thread(target=int)\nt.start(); t.join()",
    "closed socket": "import socket\nsocket.create_server(('127.0.0.1', 0)).close()",
    "file": "file = open(__file__)",
    "pipe of its own": "import os\npipe = os.pipe()",
    "ended process": "import subprocess\nsubprocess.run(['cat'], input=b'x', capture_output=True)",
    # OpenBLAS has threads, and ends them before a fork.
    "numpy": "import numpy",
    "pandas, with jemalloc's thread": "import pandas, pyarrow",
    "polars, with its cleaner's thread": "import polars",
    "idle connection of urllib3": (
        "import os, urllib3\npool = urllib3.PoolManager()\n"
        "assert pool.request('GET', os.environ['CREDENTIALS']).status == 200"
    ),
    "idle connection of boto3": (
        "import boto3, os\n"
        "os.environ['AWS_CONTAINER_CREDENTIALS_FULL_URI'] = os.environ['CREDENTIALS']\n"
        "client = boto3.client('s3', region_name='us-east-1')\n"
        "assert client._request_signer._credentials.method == 'container-role'"
    ),
}
LIBRARY_THREADS = """
import ctypes
libc = ctypes.CDLL(None)
pause = ctypes.cast(libc.pause, ctypes.c_void_p)
for name in (b"pool", b"pool", b"timer"):
    thread = ctypes.c_ulong()
    libc.pthread_create(ctypes.byref(thread), None, pause, None)
    libc.pthread_setname_np(thread, name)
"""


class TaskRole(BaseHTTPRequestHandler):
    """Gives credentials as ECS does, and keeps connections open."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        words = ("AccessKeyId", "SecretAccessKey", "Token")
        body = json.dumps({**dict.fromkeys(words, "x"), "Expiration": "2999-01-01T00:00:00Z"})
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Where a task gets its credentials."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with ThreadingHTTPServer(("127.0.0.1", 0), TaskRole) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("CREDENTIALS", f"http://127.0.0.1:{server.server_port}/")
        yield
        server.shutdown()


def findings(directory: Path, code: str) -> list[list[str | None]]:
    done = loaded(directory, code)
    assert done.returncode == 0, done.stderr
    return [list(finding) for finding in json.loads(done.stdout.splitlines()[-1])]


def loaded(directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    (directory / "loaded.py").write_text(code)
    return subprocess.run(
        [sys.executable, "-c", LOOK],
        env={**os.environ, "PYTHONPATH": str(directory)},
        capture_output=True,
        check=False,
        text=True,
    )


@pytest.mark.parametrize(("code", "kind", "what", "module"), CASES.values(), ids=CASES.keys())
def test_it_is_found(tmp_path: Path, code: str, kind: str, what: str, module: str | None) -> None:
    found = findings(tmp_path, code)
    assert [finding[0] for finding in found].count(kind) == len(found), found
    assert any(what in str(finding[1]) and finding[2] == module for finding in found), found


@pytest.mark.parametrize("code", HARMLESS.values(), ids=HARMLESS.keys())
def test_what_a_fork_survives_is_not_reported(tmp_path: Path, code: str, credentials: None) -> None:
    assert findings(tmp_path, code) == []


def test_one_process_is_one_finding(tmp_path: Path) -> None:
    assert len(findings(tmp_path, CASES["process"][0])) == 1


def test_a_fork_that_hangs_is_found_and_the_server_goes_on(tmp_path: Path) -> None:
    code = (
        "import os, threading\nfrom run_isolation.dagster.warm import libraries\n"
        "libraries.TRIAL_SECONDS = 1.0\n"
        "os.register_at_fork(after_in_child=threading.Event().wait)"
    )
    assert findings(tmp_path, code) == [
        ["library", "loaded a library whose handler of os.fork() does not return", None]
    ]


def test_threads_of_a_library_are_told_in_one_line(tmp_path: Path) -> None:
    assert findings(tmp_path, LIBRARY_THREADS) == [
        ["thread", "started threads of a library (2 x pool, timer)", "loaded"]
    ]


def test_the_module_is_the_one_that_was_being_imported(tmp_path: Path) -> None:
    start = "threading.Thread(target=threading.Event().wait, daemon=True).start()"
    (tmp_path / "helper.py").write_text(f"import threading\ndef start():\n    {start}\n")
    (tmp_path / "quiet.py").write_text("")
    # The helper has the code, this one has it executed, and another comes after it.
    (tmp_path / "definitions.py").write_text("import helper\nhelper.start()\nimport quiet\n")
    [[_, _, module]] = findings(tmp_path, "import definitions")
    assert module == "definitions"


def test_an_import_that_fails_is_told_as_ever(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("1 / 0")
    done = loaded(tmp_path, "import broken")
    files = [line.split('"')[1] for line in done.stderr.splitlines() if line.startswith("  File")]
    assert files == ["<string>", str(tmp_path / "loaded.py"), str(tmp_path / "broken.py")]
