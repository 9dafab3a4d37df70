"""Our server in a container of the default size, on locations that mean no good."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.code_server.container import SMALL
from tests.code_server.health import watched
from tests.code_server.runs import Runs, new_home, runs_of
from tests.code_server.servers import Kind, serving
from tests.waiting import eventually

LOCATIONS = Path(__file__).parent / "locations"
IMPATIENT = Kind("ours", (sys.executable, "-m", "tests.hostile.impatient"), ours=True)
"""As it is, but for the time that a canceled run has, which is two minutes."""


@dataclass(frozen=True)
class Victim:
    """A server that has to bear it.

    Attributes:
        runs: Of its location.
        before: Ids of the processes that it had before it had any run.
        temporary: Where it and its runs have their temporary files.
    """

    runs: Runs
    before: frozenset[int]
    temporary: Path

    @property
    def limited(self) -> bool:
        """Whether its container has limits: not on every machine."""
        return self.runs.server.container.group is not None

    def nothing_is_left(self) -> None:
        """Waits until no process and no file of a run is there any more."""

        def left() -> list[str]:
            now = self.runs.server.container.processes()
            processes = [f"{p.pid} {p.name()}" for p in now if p.pid not in self.before]
            return processes + [str(file) for file in self.temporary.iterdir()]

        eventually(lambda: not left(), lambda: f"nothing of a run is left: {left()}")

    def still_works(self) -> None:
        """An ordinary run ends well, in the very same server."""
        run = self.runs.execute("ordinary")
        assert str(run.status) == "DagsterRunStatus.SUCCESS", self.runs.told(run)
        assert self.runs.server.alive


@contextmanager
def victim(
    location: str, place: Path, environment: dict[str, str] | None = None
) -> Iterator[Victim]:
    """Serves a location."""
    home = new_home(place / "home")
    temporary = place / "temporary"
    temporary.mkdir()
    variables = {"DAGSTER_HOME": str(home), "TMPDIR": str(temporary)}
    with ExitStack() as exits:
        server = exits.enter_context(
            serving(
                IMPATIENT,
                LOCATIONS,
                ["-m", location],
                place / "server.log",
                limits=SMALL,
                environment=variables | (environment or {}),
            )
        )
        runs = exits.enter_context(runs_of(server, home))
        before = frozenset(process.pid for process in server.container.processes())
        yield Victim(runs, before, temporary)


Serve = Callable[..., Victim]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Serve]:
    """Serves a location of its own, asked for its health all the time."""
    with ExitStack() as exits:

        def start(location: str, environment: dict[str, str] | None = None) -> Victim:
            served = exits.enter_context(victim(location, tmp_path, environment))
            exits.enter_context(watched(served.runs.server))
            return served

        yield start


@pytest.fixture(scope="module")
def one_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Victim]:
    """One server for all that runs can do to it."""
    with victim("ops", tmp_path_factory.mktemp("ops")) as served:
        yield served


@pytest.fixture
def shared(one_server: Victim) -> Iterator[Victim]:
    """The same, asked for its health all through the test."""
    with watched(one_server.runs.server):
        yield one_server
