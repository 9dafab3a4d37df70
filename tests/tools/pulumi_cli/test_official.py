"""The official installer: used where it can be reached, and never under CI."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from pathlib import Path

import psutil
import pytest
from pulumi.automation import _cmd
from rich.console import Console

from tests.tools.pulumi_cli.conftest import FakeGo, Site
from tools.pulumi_cli import Origin, ensure_pulumi, official
from tools.pulumi_cli.errors import UnavailableError

# Takes the arguments that the SDK gives https://get.pulumi.com/install.sh.
INSTALL = """#!/bin/sh
while [ "$1" != --install-root ]; do shift; done
mkdir -p "$2/bin"
printf '#!/bin/sh\\necho v3.999.0\\n' > "$2/bin/pulumi"
chmod +x "$2/bin/pulumi"
"""


@pytest.fixture
def downloads(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The script that the SDK downloads; change its one item to serve another."""
    served = [INSTALL]

    def download(url: str, path: str) -> None:
        assert url == "https://get.pulumi.com/install.sh"
        Path(path).write_text(served[0])

    monkeypatch.setattr(_cmd, "_download_to_file", download)
    return served


def test_installs_into_the_cache_and_takes_it_from_there(
    site: Site, downloads: list[str], go: FakeGo, tmp_path: Path
) -> None:
    cli = ensure_pulumi()
    assert (cli.origin, cli.version) == (Origin.INSTALLED, "3.999.0")
    assert cli.executable.is_relative_to(tmp_path / "cache" / "run-isolation")
    downloads[0] = "#!/bin/sh\nexit 1\n"
    assert ensure_pulumi().executable == cli.executable
    assert len(site.requests) == 1
    assert go.calls("build") == []


def test_is_not_even_asked_under_ci(
    site: Site, downloads: list[str], go: FakeGo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CI", "true")
    assert ensure_pulumi().origin is Origin.BUILT
    assert site.requests == []


def test_builds_where_the_installer_cannot_be_reached(go: FakeGo) -> None:
    assert ensure_pulumi().origin is Origin.BUILT


def test_failure_of_the_installer_is_told(site: Site, downloads: list[str]) -> None:
    downloads[0] = "#!/bin/sh\necho no space left\nexit 1\n"
    with pytest.raises(UnavailableError, match="no space left"):
        official.install(Console(quiet=True))


def test_an_installer_that_hangs_is_ended(
    site: Site, downloads: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(official, "INSTALL_PATIENCE", 1)
    downloads[0] = f"#!/bin/sh\necho $$ > {tmp_path}/pid\nexec sleep 60\n"
    with pytest.raises(UnavailableError, match="did not end in 1 s"):
        official.install(Console(quiet=True))
    [pid] = (tmp_path / "pid").read_text().split()
    with contextlib.suppress(psutil.NoSuchProcess):
        psutil.Process(int(pid)).wait(5)
    assert not psutil.pid_exists(int(pid))


def test_reachable_gives_up_on_a_server_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        start = time.monotonic()
        assert not official.reachable(f"http://127.0.0.1:{silent.getsockname()[1]}/", 0.2)
        assert time.monotonic() - start < 2


def test_reachable_gives_up_on_a_name_that_does_not_resolve(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked, closed = threading.Event(), threading.Event()

    def hang(*_: object, **__: object) -> None:
        asked.set()
        closed.wait()
        raise socket.gaierror

    monkeypatch.setattr(socket, "getaddrinfo", hang)
    start = time.monotonic()
    assert not official.reachable("https://installer.invalid/", 0.2)
    assert time.monotonic() - start < 2
    assert asked.is_set()
    closed.set()


def test_reachable_says_so_of_a_server_that_answers(site: Site) -> None:
    assert official.reachable(site.url, 5)
