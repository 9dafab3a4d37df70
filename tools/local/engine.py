"""Provision the stack `local` with Pulumi's engine, as `pulumi up` does."""

from __future__ import annotations

import contextlib
import json
import shlex
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TextIO

import psutil
from pulumi import automation
from pulumi.automation.events import DiagnosticEvent, EngineEvent, OpType, StepEventMetadata
from rich.console import Console

from tools.local.errors import StepError
from tools.local.files import CHECKOUT, LocalFiles
from tools.local.processes import end
from tools.progress import working
from tools.pulumi_cli import PulumiCli

STACK = "local"
SILENCE = 1260.0
"""Seconds without any event of the engine. It outlasts each wait that is silent while it lasts: the
longest is the AWS provider's for a service, 20 minutes for its tasks to end. The wait for healthy
containers is not silent: the program tells every 30 seconds (infra/hooks/all_rollouts.py)."""
SHOW_SECONDS = 1.0
END_PATIENCE = 15.0
"""Seconds that the engine may take to finish what it has begun."""
_QUIET = {OpType.SAME, OpType.READ, OpType.REFRESH}
_DONE = {
    OpType.CREATE: "created",
    OpType.UPDATE: "updated",
    OpType.DELETE: "deleted",
    OpType.REPLACE: "replaced",
    OpType.CREATE_REPLACEMENT: "created as a replacement",
    OpType.DELETE_REPLACED: "deleted after replacement",
    OpType.SAME: "unchanged",
}


_AWAITS = {
    "pulumi:index:Stash": "until each changed container is healthy",
    "aws:dynamodb/tableItem:TableItem": "until the slot table has the limit",
}
"""What the hooks of a resource wait for, by its type: infra/hooks/hooks.py."""
_SHOWN = 3
"""So many of the things that it waits for are named; those that take longest."""


@dataclass
class Watcher:
    """Turns the engine's events into progress, counts and errors."""

    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)
    heard_at: float = field(default_factory=time.monotonic)
    """When the last event came; of the clock that stands for seconds of this process."""
    _begun: dict[str, tuple[str, float]] = field(default_factory=dict)
    """What is begun and not done, by URN, and since when."""
    _said: str = ""
    """The program's last line on what it waits for right now."""

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        self.heard_at = time.monotonic()
        if step := event.resource_pre_event:
            # Components have no provider, and no event of their own when they are done.
            if step.metadata.op not in _QUIET and step.metadata.provider:
                self._begun[step.metadata.urn] = (_step(step.metadata), self.heard_at)
        elif result := event.res_outputs_event:
            self._end(result.metadata.urn)
            if done := _DONE.get(result.metadata.op):
                self.counts[done] += 1
        elif failure := event.res_op_failed_event:
            self._end(failure.metadata.urn)
        elif total := event.summary_event:
            changes = total.resource_changes.items()
            self.counts = Counter({_DONE.get(op, op): count for op, count in changes if count})
        elif diagnostic := event.diagnostic_event:
            if diagnostic.severity == "error":
                self.errors.append(_error(diagnostic))
            elif diagnostic.ephemeral and not _resource(diagnostic):
                # The program's. One that is to stay is not about right now.
                self._said = diagnostic.message.strip()

    @property
    def silence(self) -> float:
        """Seconds since the last event."""
        return time.monotonic() - self.heard_at

    def reason(self) -> str:
        """Why it failed: all errors but the engine's own last word on them."""
        return "\n".join(error for error in self.errors if error != "update failed")

    def summary(self) -> str:
        """Resource counts in words, for example `3 created, 40 unchanged`."""
        return (
            ", ".join(f"{count} {done}" for done, count in self.counts.items()) or "no changes yet"
        )

    def awaited(self) -> str:
        """What the engine waits for, and how long by now; what takes longest first."""
        begun = sorted(self._begun.copy().values(), key=lambda one: one[1])
        now = time.monotonic()
        named = [f"{what} ({now - since:.0f} s)" for what, since in begun[:_SHOWN]]
        more = [f"{len(begun) - _SHOWN} more"] if len(begun) > _SHOWN else []
        return ": ".join(filter(None, [", ".join([*named, *more]), self._said]))

    def progress(self) -> str:
        """What is done, and what it waits for."""
        return "; ".join(filter(None, [self.summary(), self.awaited()]))

    def _end(self, urn: str) -> None:
        # Where it was about another one, the program will say it again.
        self._said = ""
        self._begun.pop(urn, None)


def provision(
    cli: PulumiCli, files: LocalFiles, variables: Mapping[str, str], console: Console
) -> Counter[str]:
    """Run `pulumi up` on the stack `local`.

    Returns:
        How many resources were created, updated, unchanged and so on.

    Raises:
        StepError: the engine or the program failed, or the engine said nothing for SILENCE seconds;
            nothing is undone, the next `up` goes on.
    """
    files.backend.mkdir(parents=True, exist_ok=True)
    watcher = Watcher()
    with (
        working(console, f"Provisioning stack {STACK}") as show,
        files.pulumi_log.open("w") as log,
        _bounded(watcher, show) as gave_up,
    ):
        try:
            stack = automation.create_or_select_stack(
                STACK,
                work_dir=str(CHECKOUT),
                opts=automation.LocalWorkspaceOptions(
                    pulumi_command=cli.command, env_vars=dict(variables)
                ),
            )
            _up(stack, files, watcher, log)
        except Exception as error:
            log.write(f"{error}\n")
            if gave_up.is_set():
                # An engine that is ended before it has recorded the update fails elsewhere, too.
                raise StepError(_silence(watcher), files.pulumi_log) from error
            if isinstance(error, automation.CommandError):
                raise StepError(watcher.reason() or str(error), files.pulumi_log) from error
            raise
    return watcher.counts


def _up(stack: automation.Stack, files: LocalFiles, watcher: Watcher, log: TextIO) -> None:
    def run() -> None:
        stack.up(on_event=watcher, on_output=lambda line: print(line, file=log), color="never")

    try:
        run()
    except automation.ConcurrentUpdateError as error:
        if alive := [pid for pid in _holders(files) if psutil.pid_exists(pid)]:
            pulumi = f"source {shlex.quote(str(files.environment))} && pulumi"
            raise StepError(
                f"another pulumi command holds the stack: process {alive[0]}. Wait for it, or end "
                f"it. If that is not a pulumi command, run `{pulumi} cancel --stack {STACK}`.",
                files.pulumi_log,
            ) from error
        # One was killed while it held the stack.
        stack.cancel()
        run()


def _holders(files: LocalFiles) -> list[int]:
    """Process ids of the commands that hold the stack, whether they run or not."""
    locks = (files.backend / ".pulumi" / "locks").rglob("*.json")
    return [json.loads(lock.read_bytes())["pid"] for lock in locks]


@contextmanager
def _bounded(watcher: Watcher, show: Callable[[str], None]) -> Iterator[threading.Event]:
    """Show the progress of the block, and end the engine when there is none.

    Yields:
        An event that is set where that happened.
    """
    over, gave_up = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(SHOW_SECONDS):
            show(watcher.progress())
            if watcher.silence > SILENCE:
                gave_up.set()
                _end_engine()
                return

    thread = threading.Thread(target=watch, name="progress")
    thread.start()
    try:
        yield gave_up
    finally:
        over.set()
        thread.join()


def _end_engine() -> None:
    for child in psutil.Process().children():
        with contextlib.suppress(psutil.Error):
            # So the Automation API marks its commands: pulumi/automation/_cmd.py.
            if "PULUMI_AUTOMATION_API" in child.environ():
                end(child, END_PATIENCE)


def _silence(watcher: Watcher) -> str:
    return (
        f"Pulumi reported nothing for {SILENCE:g} s, so it was stopped. It was waiting for: "
        f"{watcher.awaited() or 'the program'}. The output of a code location's containers is in "
        f"its log group, /run-isolation/{STACK}/<location>. Fix what holds them up, then run "
        "`make up` again: it continues from here."
    )


def _error(diagnostic: DiagnosticEvent) -> str:
    message = diagnostic.message.strip()
    resource = _resource(diagnostic)
    return f"{resource}: {message}" if resource else message


def _resource(diagnostic: DiagnosticEvent) -> str | None:
    """The resource that it is about; None where it is about the stack as a whole."""
    urn = diagnostic.urn
    return _name(urn) if urn and "::pulumi:pulumi:Stack::" not in urn else None


def _name(urn: str) -> str:
    """`urn:pulumi:local::run-isolation::aws:ecs/service:Service::sales` becomes `Service sales`.

    https://www.pulumi.com/docs/iac/concepts/resources/names/#urns
    """
    *_, kind, name = urn.split("::")
    return f"{kind.rsplit(':', 1)[-1]} {name}"


def _step(metadata: StepEventMetadata) -> str:
    """For example `create Stash rolled-out, until each changed container is healthy`."""
    parts = [f"{metadata.op.value} {_name(metadata.urn)}", _AWAITS.get(metadata.type)]
    return ", ".join(filter(None, parts))
