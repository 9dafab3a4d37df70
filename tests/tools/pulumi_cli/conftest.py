"""A machine without a Pulumi CLI, without internet, with a Go that builds at once."""

from __future__ import annotations

import http.server
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.tools.conftest import Program
from tools.pulumi_cli import build, official

# Behaves as `go build -o DIR` and `go list -m -f {{.Dir}}` do, and notes how it was called.
GO = """\
echo "$PWD: $*" >> {calls}
case "$1" in
  build)
    sleep 0.2
    while [ "$1" != -o ]; do shift; done
    printf '#!/bin/sh\\necho {version}\\n' > "$2/pulumi"
    chmod +x "$2/pulumi" ;;
  list) echo {sdk} ;;
esac
"""


@dataclass
class FakeGo:
    """A `go` on PATH."""

    file: Path
    log: Path

    def calls(self, command: str) -> list[str]:
        lines = self.log.read_text().splitlines() if self.log.exists() else []
        return [line for line in lines if f": {command} " in line]


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, programs: Program) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = free.getsockname()[1]
    monkeypatch.setattr(official, "INSTALLER", f"http://127.0.0.1:{closed}/install.sh")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def go(tmp_path: Path, programs: Program) -> FakeGo:
    executor = tmp_path / "sdk" / "python" / "cmd" / build.EXECUTOR
    executor.parent.mkdir(parents=True)
    executor.write_text("# runs a program\n")
    log = tmp_path / "go.calls"
    script = GO.format(calls=log, sdk=tmp_path / "sdk", version=build.pinned_version())
    return FakeGo(programs("go", script), log)


@dataclass
class Site:
    """A web server in place of get.pulumi.com."""

    url: str
    requests: list[str] = field(default_factory=list)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            found.requests.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Site(f"http://127.0.0.1:{server.server_port}/install.sh")
    monkeypatch.setattr(official, "INSTALLER", found.url)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    server.shutdown()
    server.server_close()
