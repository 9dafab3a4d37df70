"""Provision the stack `local` with Pulumi's engine, as `pulumi up` does."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pulumi import automation
from pulumi.automation.events import DiagnosticEvent, EngineEvent, OpType
from rich.console import Console

from tools.local.errors import StepError
from tools.local.files import CHECKOUT, LocalFiles
from tools.progress import working
from tools.pulumi_cli import PulumiCli

STACK = "local"
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


@dataclass
class Watcher:
    """Turns the engine's events into progress, counts and errors."""

    show: Callable[[str], None]
    counts: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def __call__(self, event: EngineEvent) -> None:
        """Take one event."""
        if step := event.resource_pre_event:
            if step.metadata.op not in _QUIET:
                self.show(f"{self.summary()}; {step.metadata.op.value} {_name(step.metadata.urn)}")
        elif result := event.res_outputs_event:
            if done := _DONE.get(result.metadata.op):
                self.counts[done] += 1
        elif total := event.summary_event:
            # Components have no event of their own when they are done.
            changes = total.resource_changes.items()
            self.counts = Counter({_DONE.get(op, op): count for op, count in changes if count})
        elif (diagnostic := event.diagnostic_event) and diagnostic.severity == "error":
            self.errors.append(_error(diagnostic))

    def reason(self) -> str:
        """Why it failed: all errors but the engine's own last word on them."""
        return "\n".join(error for error in self.errors if error != "update failed")

    def summary(self) -> str:
        """Resource counts in words, for example `3 created, 40 unchanged`."""
        return (
            ", ".join(f"{count} {done}" for done, count in self.counts.items()) or "no change yet"
        )


def provision(
    cli: PulumiCli, files: LocalFiles, variables: Mapping[str, str], console: Console
) -> Counter[str]:
    """Run `pulumi up` on the stack `local`.

    Returns:
        How many resources were created, updated, unchanged and so on.

    Raises:
        StepError: the engine or the program failed; nothing is undone, the next `up` goes on.
    """
    files.backend.mkdir(parents=True, exist_ok=True)
    with (
        working(console, f"Provisioning stack {STACK}") as show,
        files.pulumi_log.open("w") as log,
    ):
        watcher = Watcher(show)
        try:
            stack = automation.create_or_select_stack(
                STACK,
                work_dir=str(CHECKOUT),
                opts=automation.LocalWorkspaceOptions(
                    pulumi_command=cli.command, env_vars=dict(variables)
                ),
            )
            stack.up(on_event=watcher, on_output=lambda line: print(line, file=log), color="never")
        except automation.ConcurrentUpdateError as error:
            raise StepError(
                "another pulumi command holds the stack, or one was killed while it did. "
                f"If none runs: `source {files.environment} && pulumi cancel --stack {STACK}`",
                files.pulumi_log,
            ) from error
        except automation.CommandError as error:
            log.write(f"{error}\n")
            raise StepError(watcher.reason() or str(error), files.pulumi_log) from error
    return watcher.counts


def _error(diagnostic: DiagnosticEvent) -> str:
    message = diagnostic.message.strip()
    if diagnostic.urn and "::pulumi:pulumi:Stack::" not in diagnostic.urn:
        return f"{_name(diagnostic.urn)}: {message}"
    return message


def _name(urn: str) -> str:
    """`urn:pulumi:local::run-isolation::aws:ecs/service:Service::sales` becomes `Service sales`.

    https://www.pulumi.com/docs/iac/concepts/resources/names/#urns
    """
    *_, kind, name = urn.split("::")
    return f"{kind.rsplit(':', 1)[-1]} {name}"
