"""Dagster's webserver with the toggle: its page, its routes, its other options untouched."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import EmptyWorkspaceTarget
from dagster_webserver.webserver import DagsterWebserver

from run_isolation.dagster.toggle.pages import DIGEST, FILES, UnknownPageError
from run_isolation.dagster.web import webserver as webserver_module
from run_isolation.dagster.web.webserver import RunIsolationWebserver


@dataclass
class Answer:
    """What an ASGI app sends."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    async def send(self, message: Any) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = {name.decode(): value.decode() for name, value in message["headers"]}
        else:
            self.body += message.get("body", b"")


@contextmanager
def serving(*, read_only: bool = False, prefix: str = "") -> Iterator[Any]:
    with (
        TemporaryDirectory() as directory,
        DagsterInstance.local_temp(directory) as instance,
        WorkspaceProcessContext(instance, EmptyWorkspaceTarget(), read_only=read_only) as context,
    ):
        yield RunIsolationWebserver(None, context, prefix).create_asgi_app()


def get(app: Any, path: str, query: str = "") -> Answer:
    answer = Answer()
    scope = {
        **{"type": "http", "http_version": "1.1", "method": "GET", "scheme": "http"},
        **{"path": path, "raw_path": path.encode(), "query_string": query.encode()},
        **{"headers": [], "root_path": "", "app": app},
    }

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    asyncio.run(app(scope, receive, answer.send))
    return answer


@pytest.mark.parametrize("prefix", ["", "/data"])
def test_every_address_of_the_page_has_the_script(prefix: str) -> None:
    with serving(prefix=prefix) as app:
        for path in (f"{prefix}/", f"{prefix}/locations/probe/jobs/it/playground"):
            page = get(app, path)
            html = page.body.decode()
            assert int(page.headers["content-length"]) == len(page.body)
            assert page.headers["cache-control"] == "no-store"
            [nonce] = re.findall(r"'nonce-(\w+)'", page.headers["content-security-policy"])
            assert (
                f'<script type="module" nonce="{nonce}" '
                f'src="{prefix}/run_isolation/{DIGEST}/toggle.js">'
            ) in html
        script = get(app, f"{prefix}/run_isolation/{DIGEST}/toggle.js")
        assert (script.status, script.body) == (200, FILES["toggle.js"])


def test_all_else_of_the_page_is_dagsters(monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as app:
        with_it = get(app, "/")
        monkeypatch.setattr(
            RunIsolationWebserver, "index_html_endpoint", DagsterWebserver.index_html_endpoint
        )
    with serving() as app:
        without = get(app, "/")
    ours = re.sub(
        r"<(link|script)[^>]*/run_isolation/[^>]*>(</script>)?", "", with_it.body.decode()
    )

    def comparable(text: str) -> str:
        return re.sub(r"[0-9a-f]{32}|[0-9a-f-]{36}", "", text)

    assert comparable(ours) == comparable(without.body.decode())
    assert with_it.headers.keys() == without.headers.keys()


def test_an_index_page_that_we_do_not_know_is_served_as_it_is(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: str) -> str:
        raise UnknownPageError("it is another one.")

    monkeypatch.setattr(webserver_module, "with_toggle", refuse)
    with serving() as app:
        page = get(app, "/")
    assert page.status == 200
    assert b"__NEXT_DATA__" in page.body
    assert b"run_isolation" not in page.body
    assert "it is another one." in caplog.text


def test_without_our_coordinator_nothing_is_offered_and_nothing_asked_of_aws() -> None:
    with serving() as app:
        assert get(app, "/run_isolation/slots", "location=probe").body == b'{"state":"absent"}'
        history = get(app, "/run_isolation/history", "location=probe&job=it")
        assert history.body == b'{"runs":0}'


def test_dagsters_own_routes_are_there() -> None:
    with serving(prefix="/data") as app:
        assert b"dagster_version" in get(app, "/data/server_info").body
        assert get(app, "/").headers["location"] == "/data"
