"""A stack of the real Pulumi program, driven by the real engine against the local AWS account."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import psutil
import yaml
from pulumi import automation
from pulumi.automation._stack import StackInitMode

PROJECT = Path(__file__).parents[2]
UNCHANGED = {"same", "read", "refresh"}


class Operations(automation.Stack):
    """Operations alone: what the API asks afterwards takes three processes, and nobody looks."""

    def outputs(self) -> automation.OutputMap:
        """None; they are in the engine's events."""
        return {}

    def info(self, show_secrets: bool = True) -> automation.UpdateSummary:
        """Nothing that is true."""
        return automation.UpdateSummary(
            "update", datetime.min, "", {}, {}, "succeeded", datetime.min
        )


@dataclass
class Changes:
    """What one engine operation did: operation name by `type::name` of each resource."""

    by_resource: dict[str, list[str]] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)
    log: str = ""

    def names(self, resource_type: str | None = None) -> set[str]:
        """Names of the resources that changed, of one type or of all."""
        split = (key.split("::") for key in self.by_resource)
        return {name for kind, name in split if resource_type in (None, kind)}


def manifest(changes: Changes) -> dict[str, Any]:
    """The stack's output `manifest`."""
    content: dict[str, Any] = json.loads(changes.outputs["manifest"])
    return content


@dataclass
class DeployedStack:
    """One stack: `write` its config, then `up`, `preview`, `refresh`, `destroy` with the engine."""

    name: str
    directory: Path
    command: automation.PulumiCommand
    environment: Mapping[str, str]

    def __post_init__(self) -> None:
        """Lay out a project directory of its own that runs the checkout's own program."""
        (self.directory / "stacks").mkdir(parents=True, exist_ok=True)
        (self.directory / "backend").mkdir(exist_ok=True)
        project = yaml.safe_load((PROJECT / "Pulumi.yaml").read_text())
        # The one difference from the committed project: the environment is not below this one.
        project["runtime"]["options"]["virtualenv"] = sys.prefix
        (self.directory / "Pulumi.yaml").write_text(yaml.safe_dump(project))
        if not (self.directory / "infra").exists():
            (self.directory / "infra").symlink_to(PROJECT / "infra")

    def write(self, config: Mapping[str, Any]) -> None:
        """Write the stack's config file, as a user edits it."""
        path = self.directory / "stacks" / f"Pulumi.{self.name}.yaml"
        old = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump({**(old or {}), "config": dict(config)}))

    def _variables(self) -> dict[str, str]:
        return {
            **self.environment,
            "PULUMI_BACKEND_URL": f"file://{self.directory / 'backend'}",
            "PULUMI_CONFIG_PASSPHRASE": "test",
            "PULUMI_SKIP_UPDATE_CHECK": "1",
        }

    @cached_property
    def _stack(self) -> automation.Stack:
        workspace = automation.LocalWorkspace(
            work_dir=str(self.directory),
            pulumi_command=self.command,
            env_vars=self._variables(),
        )
        return Operations(self.name, workspace, StackInitMode.CREATE_OR_SELECT)

    @contextlib.contextmanager
    def command_line(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """A pulumi command as a process of its own, which does not outlive the block.

        Standard output and error are one pipe. Its program is run by the host that users get, below
        it, and is killed with it.
        """
        assert self._stack.name == self.name  # it is there now
        with subprocess.Popen(
            [self.command.command, *arguments, "--stack", self.name, "--non-interactive"],
            cwd=self.directory,
            env={**os.environ, **self._variables(), "PULUMI_DEBUG_LANGUAGES": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                kill(process)

    def run(self, *arguments: str, within: float) -> str:
        """A pulumi command that has to end well within so many seconds; what it said."""
        with self.command_line(*arguments) as process:
            try:
                said, _ = process.communicate(timeout=within)
            except subprocess.TimeoutExpired:
                kill(process)
                said = process.communicate()[0]
                raise AssertionError(f"{arguments} still ran after {within} s:\n{said}") from None
        assert process.returncode == 0, said
        return said

    def _run(self, operation: Callable[..., Any], **options: Any) -> Changes:
        changes = Changes()

        def record(event: automation.events.EngineEvent) -> None:
            if step := event.resource_pre_event:
                meta = step.metadata
                op = meta.op.value
                if op not in UNCHANGED and not meta.urn.endswith(f"::{_stack_urn(self.name)}"):
                    kind, name = meta.urn.split("::")[2:4]
                    key = f"{kind.split('$')[-1]}::{name}"
                    changes.by_resource.setdefault(key, []).append(op)
            if done := event.res_outputs_event:
                new = done.metadata.new
                if new is not None and done.metadata.type == "pulumi:pulumi:Stack":
                    changes.outputs = dict(new.outputs or {})

        result = operation(on_event=record, **options)
        changes.log = result.stdout + result.stderr
        return changes

    def up(self, **options: Any) -> Changes:
        """`pulumi up`. Raises automation.CommandError where it fails."""
        return self._run(self._stack.up, **options)

    def preview(self) -> Changes:
        """`pulumi preview`."""
        return self._run(self._stack.preview)

    def refresh(self) -> Changes:
        """`pulumi refresh`."""
        return self._run(self._stack.refresh)

    def destroy(self) -> Changes:
        """`pulumi destroy --run-program`."""
        return self._run(self._stack.destroy, run_program=True)

    def state(self) -> list[dict[str, Any]]:
        """The resources of the stack's state file."""
        deployment = self._stack.export_stack().deployment or {}
        resources: list[dict[str, Any]] = list(deployment.get("resources", []))
        return resources

    def pending(self) -> list[dict[str, Any]]:
        """The operations whose end the state does not know."""
        deployment = self._stack.export_stack().deployment or {}
        return list(deployment.get("pending_operations") or [])


def kill(process: subprocess.Popen[str]) -> None:
    """Kill a command and the plugins and programs that it has started, as a dying machine does."""
    with contextlib.suppress(psutil.NoSuchProcess):
        parent = psutil.Process(process.pid)
        for one in [parent, *parent.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                one.kill()


def _stack_urn(stack: str) -> str:
    return f"run-isolation-{stack}"
