"""What all parts of the config share."""

from dataclasses import dataclass, field
from typing import Final, cast

from pydantic import BaseModel, ConfigDict, ValidationInfo
from pydantic.alias_generators import to_camel

LOCAL_ACCOUNT: Final = "000000000000"
"""The account that localaws plays. SQLite works there, where all tasks share a disk."""


@dataclass(frozen=True)
class Surroundings:
    """What checks need to know beyond the config."""

    deployment: str
    account: str
    locations: list[str] = field(default_factory=list)
    """All names under ``codeLocations``."""
    dagster_yaml_read: bool = True
    """Whether it is known what ``instance.dagsterYaml`` says."""


def around(info: ValidationInfo) -> Surroundings:
    """The surroundings that ``infra.config.parse`` validates in."""
    return cast(Surroundings, info.context)


def host_label(location: str) -> str:
    """The DNS label of a code location: hosts have no underscores (RFC 1123)."""
    return location.replace("_", "-")


class Part(BaseModel):
    """Keys in camel case, nothing unknown, nothing converted silently."""

    model_config = ConfigDict(
        alias_generator=to_camel, strict=True, extra="forbid", frozen=True, validate_default=True
    )
