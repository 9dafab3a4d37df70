"""The deployment's settings, spelled as Dagster+ spells them, so that its file can be pasted.

https://docs.dagster.io/deployment/dagster-plus/deploying-code/full-deployments/full-deployment-settings-reference

What open-source Dagster has of them goes into the instance (``infra/instance_document.py``). None
is what nobody has said.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from infra.config.fields import refused
from run_isolation.slots.settings import NonIsolatedRunsSetting

MOST_IN_POOL: Final = 1000
"""Dagster's own limit of a pool's slots, unless an environment variable of it says otherwise
(``get_max_concurrency_limit_value``, dagster/_utils/concurrency.py)."""


class Setting(BaseModel):
    """Keys in snake case, as Dagster has them; nothing unknown, nothing converted silently."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    refused_keys: ClassVar[Mapping[str, str]] = {}
    """Keys that Dagster knows and a deployment can't have, with why not and what to do instead."""


class TagLimit(Setting):
    """How many runs with a tag may go on at once."""

    key: str
    value: Any = None
    """Text, or ``{applyLimitPerUniqueValue: true}``."""
    limit: int = Field(ge=0)

    @field_validator("value")
    @classmethod
    def _text_or_each(cls, value: Any) -> Any:
        each = isinstance(value, dict) and value.keys() == {"applyLimitPerUniqueValue"}
        if isinstance(value, str) or (each and isinstance(next(iter(value.values())), bool)):
            return value
        raise refused("text in quotes, or {applyLimitPerUniqueValue: true}")


class RunLimits(Setting):
    """How many runs may go on at once."""

    max_concurrent_runs: int | None = Field(None, ge=-1)
    """0 stops all; -1 is no limit."""
    tag_concurrency_limits: list[TagLimit] | None = None


class Pools(Setting):
    """How much of a pool may be in use at once."""

    default_limit: int | None = Field(None, ge=0, le=MOST_IN_POOL)
    granularity: Literal["run", "op"] | None = None
    op_granularity_run_buffer: int | None = Field(None, ge=0)


class Concurrency(Setting):
    """Limits of runs and of pools."""

    runs: RunLimits = RunLimits()
    pools: Pools = Pools()


class RunMonitoring(Setting):
    """How long a run may take to start, to end and in all, in seconds."""

    start_timeout_seconds: int | None = Field(None, ge=0)
    cancel_timeout_seconds: int | None = Field(None, ge=0)
    max_runtime_seconds: int | None = Field(None, ge=0)
    free_slots_after_run_end_seconds: int | None = Field(None, ge=0)


class RunRetries(Setting):
    """Whether failed runs are executed again."""

    max_retries: int | None = Field(None, ge=0)
    retry_on_asset_or_op_failure: bool | None = None


class AutoMaterialize(Setting):
    """Declarative automation."""

    run_tags: dict[str, str] | None = None
    respect_materialization_data_versions: bool | None = None
    use_sensors: bool | None = None


_NO_BRANCHES: Final = (
    "absent: there are no branch deployments here. A preview is a stack of its own, and its "
    "concurrency.runs says how many runs it may have"
)


class DeploymentSettings(Setting):
    """All of them."""

    refused_keys: ClassVar = {
        "sso_default_role": "absent: logins and roles are Dagster+'s. Put a load balancer with a "
        "login before your webserver",
        "max_concurrent_branch_deployment_runs": _NO_BRANCHES,
        "max_concurrent_runs_per_branch_deployment": _NO_BRANCHES,
        "branch_deployment_tag_concurrency_limits": _NO_BRANCHES,
    }

    non_isolated_runs: NonIsolatedRunsSetting = NonIsolatedRunsSetting()
    concurrency: Concurrency = Concurrency()
    run_queue: RunLimits = RunLimits()
    """``concurrency.runs`` as it was spelled before."""
    run_monitoring: RunMonitoring = RunMonitoring()
    run_retries: RunRetries = RunRetries()
    auto_materialize: AutoMaterialize = AutoMaterialize()
    default_sensor_timeout: int | None = Field(None, ge=1)
    """Seconds that a tick of a sensor may take."""
    default_schedule_timeout: int | None = Field(None, ge=1)

    @property
    def dagster_yaml(self) -> dict[str, Any]:
        """What of it goes into ``dagster.yaml``: only what somebody has said."""
        own = {"non_isolated_runs", "default_sensor_timeout", "default_schedule_timeout"}
        said = self.model_dump(exclude_none=True, exclude=own)
        pruned: dict[str, Any] = _without_empty(said)
        return pruned


def _without_empty(value: Any) -> Any:
    """A mapping without those that have nothing in them."""
    if not isinstance(value, dict):
        return value
    inner = {key: _without_empty(one) for key, one in value.items()}
    return {key: one for key, one in inner.items() if one != {}}
