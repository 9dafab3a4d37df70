"""The migration page against EcsRunLauncher's own config, and against what our tags take."""

import re
from pathlib import Path

import pytest
from dagster_aws.ecs import EcsRunLauncher
from dagster_aws.ecs.container_context import (
    ECS_CONTAINER_CONTEXT_SCHEMA,
    SHARED_TASK_DEFINITION_FIELDS,
)

from run_isolation import tag_names
from run_isolation.isolated.ecs_tag_models import (
    NOT_ASKED,
    ContainerOverride,
    RunTaskArguments,
    TaskOverrides,
)

PAGE = (Path(__file__).parents[2] / "docs" / "migrating-from-ecs-run-launcher.md").read_text()
PROSE = re.sub(r"```.*?```", "", PAGE, flags=re.DOTALL)
CODE = set(re.findall(r"[\w/]+", " ".join(re.findall(r"`([^`]+)`", PROSE))))
"""Words in code on the page, blocks of it left out."""

TASK_DEFINITION = {
    *SHARED_TASK_DEFINITION_FIELDS,
    *("log_group", "sidecar_containers", "requires_compatibilities", "env", "linux_parameters"),
}


LAUNCHER = EcsRunLauncher.config_type()  # type: ignore[no-untyped-call]  # of dagster-aws


@pytest.mark.parametrize(
    "key", sorted({*LAUNCHER, *TASK_DEFINITION, *ECS_CONTAINER_CONTEXT_SCHEMA})
)
def test_every_key_of_ecs_run_launcher_is_answered(key: str) -> None:
    # Of a container context, run_x is what the launcher calls x.
    assert {key, key.removeprefix("run_")} & CODE, key


@pytest.mark.parametrize(
    "tag", [tag for tag in vars(tag_names).values() if str(tag).startswith("ecs/")]
)
def test_every_tag_is_there(tag: str) -> None:
    assert tag == tag_names.ECS_PREFIX or re.search(rf"^\| `{tag}` \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("model", [ContainerOverride, RunTaskArguments, TaskOverrides])
def test_what_each_json_tag_holds(model: type[ContainerOverride]) -> None:
    keys = {field.alias for field in model.model_fields.values()} - {"name"}
    assert keys <= CODE


def test_what_is_refused() -> None:
    # GPUs and accelerators are told in words.
    assert NOT_ASKED.keys() - CODE == {"inferenceAcceleratorOverrides", "resourceRequirements"}
