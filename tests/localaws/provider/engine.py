"""Pulumi's real engine on programs inside the test."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pulumi import automation

Program = Callable[[], Any]


@dataclass
class Ran:
    """What one operation of the engine did: the steps of each resource, by its name."""

    steps: dict[str, list[str]] = field(default_factory=dict)
    diffs: dict[str, dict[str, str]] = field(default_factory=dict)
    """Kind of each property's difference, by resource and property."""
    outputs: dict[str, Any] = field(default_factory=dict)

    def record(self, event: automation.events.EngineEvent) -> None:
        if event.resource_pre_event is None:
            return
        step = event.resource_pre_event.metadata
        name = step.urn.split("::")[-1]
        if step.type == "pulumi:pulumi:Stack" or step.type.startswith("pulumi:providers:"):
            return
        self.steps.setdefault(name, []).append(step.op.value)
        for path, diff in (step.detailed_diff or {}).items():
            self.diffs.setdefault(name, {})[path] = diff.diff_kind.value

    @property
    def changed(self) -> dict[str, list[str]]:
        """The resources that did not stay the same."""
        return {n: s for n, s in self.steps.items() if set(s) - {"same", "read", "refresh"}}


class Engine:
    """One stack of one program; the program may be another at each operation."""

    def __init__(
        self,
        name: str,
        directory: Path,
        command: automation.PulumiCommand,
        environment: Mapping[str, str],
    ) -> None:
        self.directory = directory
        (directory / "state").mkdir(parents=True)
        self.stack = automation.create_stack(
            name,
            project_name="provider",
            program=lambda: None,
            opts=automation.LocalWorkspaceOptions(
                pulumi_command=command,
                work_dir=str(directory),
                pulumi_home=str(directory / "home"),
                env_vars={
                    "PULUMI_CONFIG_PASSPHRASE": "test",
                    # Else each operation tries for 2 s to download the real provider.
                    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                    "PULUMI_SKIP_UPDATE_CHECK": "1",
                    **environment,
                },
                project_settings=automation.ProjectSettings(
                    name="provider",
                    runtime="python",
                    backend=automation.ProjectBackend(url=f"file://{directory / 'state'}"),
                ),
            ),
        )
        self.configure("aws:region", "us-east-1")

    def configure(self, key: str, value: str) -> None:
        self.stack.set_config(key, automation.ConfigValue(value))

    def up(self, program: Program) -> Ran:
        ran = Ran()
        done: automation.UpResult = self._say_all(
            lambda say: self.stack.up(program=program, on_event=ran.record, **say)
        )
        ran.outputs = {name: out.value for name, out in done.outputs.items()}
        return ran

    def preview(self, program: Program) -> Ran:
        ran = Ran()
        self._say_all(lambda say: self.stack.preview(program=program, on_event=ran.record, **say))
        return ran

    def refresh(self) -> Ran:
        """Look for drift: steps are `refresh` (none), `update` or `delete`."""
        ran = Ran()

        def record(event: automation.events.EngineEvent) -> None:
            if event.res_outputs_event is not None:
                step = event.res_outputs_event.metadata
                if not step.type.startswith("pulumi:"):
                    ran.steps.setdefault(step.urn.split("::")[-1], []).append(step.op.value)

        self._say_all(lambda say: self.stack.refresh(on_event=record, **say))
        return ran

    def destroy(self) -> Ran:
        ran = Ran()
        self._say_all(lambda say: self.stack.destroy(on_event=ran.record, **say))
        return ran

    def state(self) -> dict[str, dict[str, Any]]:
        """Each resource's state by name, as the engine stored it."""
        deployment = self.stack.export_stack().deployment or {}
        return {one["urn"].split("::")[-1]: one for one in deployment["resources"]}

    def _say_all(self, run: Callable[[dict[str, Any]], Any]) -> Any:
        """Put what the engine printed into the error of a failed operation."""
        said: list[str] = []
        try:
            return run({"on_output": said.append, "color": "never"})
        except automation.errors.CommandError as error:
            raise EngineError("\n".join(said)) from error


class EngineError(Exception):
    """An operation failed; the text is what the user sees."""
