"""A stack of the real Pulumi program, driven by the real engine against the local AWS account."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

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

    @cached_property
    def _stack(self) -> automation.Stack:
        workspace = automation.LocalWorkspace(
            work_dir=str(self.directory),
            pulumi_command=self.command,
            env_vars={
                **self.environment,
                "PULUMI_BACKEND_URL": f"file://{self.directory / 'backend'}",
                "PULUMI_CONFIG_PASSPHRASE": "test",
                "PULUMI_SKIP_UPDATE_CHECK": "1",
            },
        )
        return Operations(self.name, workspace, StackInitMode.CREATE_OR_SELECT)

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
                    changes.outputs = dict(new.outputs)

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


def _stack_urn(stack: str) -> str:
    return f"run-isolation-{stack}"
