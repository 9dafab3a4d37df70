"""Puts warm starts into Dagster's server, between its import of user code and its first thread.

Runs in: server.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import dagster._grpc.server

from run_isolation.dagster.patching import SeamError, replaced
from run_isolation.dagster.warm import (
    detection,
    quick_storage,
    run_patches,
    steps,
    template,
    warming,
)
from run_isolation.dagster.warm.cpu_manners import Manners
from run_isolation.dagster.warm.fork_context import WarmContext
from run_isolation.dagster.warm.keeper import Grace
from run_isolation.dagster.warm.server_state import ServerState, Settler

_log: Final = logging.getLogger("dagster.code_server")


class WarmStart:
    """The template of one server, from before its code is loaded.

    Attributes:
        context: What run processes are made with; None where they are spawned.
        manners: How their processes share the CPU with the server; None where they need not.
    """

    def __init__(self, grace: Grace | None = None) -> None:
        self._grace = grace or Grace()
        self.context: WarmContext | None = None
        self.manners: Manners | None = None

    @contextmanager
    def around_loading(self) -> Iterator[None]:
        """Around Dagster's loading of user code in the server's main thread."""
        server = ServerState.take()
        with detection.Import.watched() as imported:
            yield
        findings = imported.findings()
        for finding in findings:
            _log.warning("%s", finding)
        if findings:
            return
        if told := imported.exit_handlers.told():
            _log.warning("%s", told)
        self._fork(server.settler(imported))

    def _fork(self, settler: Settler) -> None:
        try:
            # Tried here, where it can still be said that runs are spawned.
            with steps.installed(), run_patches.installed():
                pass
            warming.warm_up()
        except (SeamError, warming.ThreadError) as error:
            _log.warning("Runs are spawned, not forked from a warm process. %s", error)
            return
        self.manners = settler.manners
        # A run that the template is silent about is better off in a task of its own.
        control = template.fork(settler, self._grace)
        self.context = WarmContext(control, _say_lost, self._grace, spawns_after_silence=False)

    def check(self) -> None:
        """Called again and again: says so, once, when the template is gone."""
        if self.context is not None:
            self.context.check()


def _say_lost(why: str) -> None:
    _log.warning(
        "The template of warm starts is gone, so runs are spawned from now on, which takes seconds "
        "more. %s It was killed, or ended for want of memory; a new task has a new one.",
        why,
    )


@contextmanager
def installed(warm: WarmStart | None) -> Iterator[None]:
    """Has Dagster's server fork a template when it has loaded user code.

    Args:
        warm: None: it does not.
    """
    if warm is None:
        yield
        return

    around_loading = warm.around_loading
    original: Any = getattr(dagster._grpc.server, "LoadedRepositories", None)
    if original is None:
        _log.warning(
            "Runs are spawned, not forked from a warm process: this version of Dagster has no "
            "dagster._grpc.server.LoadedRepositories."
        )
        yield
        return

    class Loaded(original):  # type: ignore[misc]  # a class, as far as mypy can't see
        """Dagster's own. The first is the one that the server starts with."""

        first = True

        def __init__(self, *args: Any, **kwargs: Any) -> None:
            if not Loaded.first:
                super().__init__(*args, **kwargs)
                return
            Loaded.first = False
            with around_loading():
                super().__init__(*args, **kwargs)

    with ExitStack() as seams:
        seams.enter_context(replaced(dagster._grpc.server, "LoadedRepositories", Loaded))
        try:
            seams.enter_context(quick_storage.opened_by(quick_storage.open_in_server))
        except SeamError as error:
            _log.warning("The storage is opened in Dagster's own way. %s", error)
        yield
