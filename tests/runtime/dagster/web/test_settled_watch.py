"""A location is loaded once more when its name has led to one server only for a while."""

from __future__ import annotations

import itertools
from queue import Empty, Queue
from typing import Any

import pytest
from dagster._grpc.client import DagsterGrpcClient

from run_isolation.dagster.web import settled_watch
from run_isolation.dagster.web.settled_watch import create_watch_thread

WAIT = 10


class Name(DagsterGrpcClient):
    """A name that leads to these servers in turn, and then to the last one for ever."""

    def __init__(self, *servers: str) -> None:
        super().__init__(host="nobody", port=1)
        self._answers = itertools.chain(servers, itertools.repeat(servers[-1]))

    def get_server_id(self, timeout: int = 0) -> str:
        return next(self._answers)


class Location:
    """What is done to it."""

    def __init__(self) -> None:
        self.done: Queue[str] = Queue()

    def watched(self, name: Name) -> tuple[Any, Any]:
        return create_watch_thread(
            "probe",
            name,
            get_location_entry=lambda _: None,
            refresh_code_location=lambda _: self.done.put("loaded again"),
            on_updated=lambda _, server: self.done.put(server),
            on_disconnect=print,
            on_reconnected=print,
            on_error=print,
            watch_interval=0.01,
        )


@pytest.fixture
def location(monkeypatch: pytest.MonkeyPatch) -> Location:
    monkeypatch.setattr(settled_watch, "SETTLED_SECONDS", 0.3)
    return Location()


def test_a_redeploy_is_followed_by_one_load_more(location: Location) -> None:
    ended, thread = location.watched(Name("old", "new", "old", "new"))
    thread.start()
    done = [location.done.get(timeout=WAIT) for _ in range(4)]
    assert done == ["new", "old", "new", "loaded again"]
    with pytest.raises(Empty):
        location.done.get(timeout=0.6)
    ended.set()
    thread.join()


def test_a_location_that_is_gone_is_not_loaded_again(location: Location) -> None:
    ended, thread = location.watched(Name("old", "new"))
    thread.start()
    assert location.done.get(timeout=WAIT) == "new"
    ended.set()
    thread.join()
    with pytest.raises(Empty):
        location.done.get(timeout=0.6)
