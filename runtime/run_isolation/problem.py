"""How one thing that is wrong with what a person wrote is told: in a run's tags, or a config."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong."""

    key: str
    """Where, as it was written: ``ecs/task_overrides.cpu`` is a path in the JSON of a tag,
    ``run-isolation:codeLocations.sales.image`` one in the stack's config."""
    value: str
    allowed: str
    nearest: str | None = None
    """The allowed value that is most like the one given, where there is one."""

    def __str__(self) -> str:
        lines = [f"{self.key}: {self.value}", f"  allowed: {self.allowed}"]
        if self.nearest is not None:
            lines.append(f"  nearest: {self.nearest}")
        return "\n".join(lines)
