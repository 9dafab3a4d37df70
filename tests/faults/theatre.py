"""Everything that the faults need: an account, a standing container, and launchers with daemons."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from unittest.mock import patch

from run_isolation import NonIsolatedRuns
from run_isolation.dagster.deployment import MANIFEST
from tests.e2e import rights
from tests.faults.contenders import Contender, contender
from tests.faults.stage import Stage
from tests.runtime.dagster.account import CALLER, LOCATION, PARAMETER, Account, Stack
from tests.runtime.dagster.conftest import serve

PROBE = Path(__file__).parents[1] / "locations" / "probe"


@dataclass
class Theatre:
    """The account and the contenders so far."""

    stack: Stack
    standing_task: str
    directory: Path
    quick: bool
    _exits: ExitStack
    _contenders: dict[str, Contender] = field(default_factory=dict)
    _stages: int = 0

    def contender(self, name: str) -> Contender:
        """A launcher with its daemon; started when it is first asked for."""
        if name not in self._contenders:
            made = contender(
                name, self.stack, self.standing_task, self.directory / name, quick=self.quick
            )
            self._contenders[name] = self._exits.enter_context(made)
        return self._contenders[name]

    @contextmanager
    def stage(self, name: str) -> Iterator[Stage]:
        """A stage for one fault; nothing of its runs is left afterwards."""
        self._stages += 1
        directory = self.directory / "stages" / str(self._stages)
        directory.mkdir(parents=True)
        stage = Stage(self.contender(name), directory)
        try:
            yield stage
        finally:
            stage.clear()


@contextmanager
def theatre(directory: Path, *, quick: bool) -> Iterator[Theatre]:
    """Opens it; this process's environment is that of the account meanwhile.

    Args:
        directory: For everything.
        quick: Whether our daemon is on a quicker clock (`tests.quick_daemon`).
    """
    images = directory / "images"
    shutil.copytree(PROBE, images / LOCATION)
    with ExitStack() as exits:
        account = exits.enter_context(Account.running(directory / "account", images))
        names = {"AWS_ACCESS_KEY_ID": CALLER, MANIFEST: PARAMETER}
        exits.enter_context(patch.dict(os.environ, account.environment | names))
        stack = Stack(account, directory / "storage")
        stack.store_in(directory / "before")
        stack.up()
        stack.configure(NonIsolatedRuns(enabled=True))
        yield Theatre(stack, serve(stack), directory, quick, exits)
        rights.report(account.rulings(), "test")
        assert account.denied() == []
