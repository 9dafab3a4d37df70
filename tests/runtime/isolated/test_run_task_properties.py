"""Whatever a run's tags say, its request is one that ECS takes, or an error that says why not."""

import json
from typing import Any

import botocore.session
from botocore.validate import ParamValidator
from hypothesis import given
from hypothesis import strategies as st

from run_isolation import IsolatedLaunch, LaunchTagsError, Size
from run_isolation.fargate import CPUS, MEMORY_BY_CPU
from run_isolation.isolated.ecs_tag_models import ContainerOverride, RunTaskArguments, TaskOverrides
from run_isolation.isolated.run_task import request
from tests.runtime.manifests import MANIFEST

REVISION = "arn:aws:ecs:us-east-1:123456789012:task-definition/run-isolation-test-sales-isolated:7"
ECS = botocore.session.get_session().get_service_model("ecs")

PAIRS = [(cpu, memory) for cpu in CPUS for memory in MEMORY_BY_CPU[cpu]]
LARGEST = (8192, 61440)
SALES = MANIFEST.locations["sales"].model_copy(
    update={"spot": True, "largest": Size(cpu=LARGEST[0], memory=LARGEST[1])}
)
DEPLOYED = MANIFEST.model_copy(update={"locations": {"sales": SALES}})

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 20000) | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=5,
)
names = st.text("abAB_ 1é", min_size=1, max_size=9)
variables = st.fixed_dictionaries({"name": names, "value": st.text(max_size=300)})
ecs_tags = st.fixed_dictionaries({"key": names, "value": st.text("aé_1 .:/", max_size=9)})
sizes = st.sampled_from([256, 512, "1024", 4096, "8192", 16384, 30720])


def object_of(model: type[Any], sound: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[str]:
    """JSON with sound members, now and then an unsound one, or no JSON at all."""
    keys = [field.alias for field in model.model_fields.values()]
    # Left to the SDK, which knows its shape.
    keys = [key for key in keys if key != "volumeConfigurations"]
    good = st.fixed_dictionaries({}, optional=sound)
    odd = st.dictionaries(st.sampled_from(keys) | st.text(max_size=9), json_values, max_size=1)
    return st.one_of(
        good.map(json.dumps),
        good.map(json.dumps),
        st.builds(lambda a, b: json.dumps(a | b), good, odd),
        st.text(max_size=30),
    )


container: dict[str, st.SearchStrategy[Any]] = {
    "environment": st.lists(variables, max_size=30),
    "command": st.just(["run-isolation", "run"]),
    "cpu": st.integers(0, 5000),
    "memory": st.integers(1, 20000),
}
run_tags = st.fixed_dictionaries(
    {},
    optional={
        "ecs/cpu": st.sampled_from([*map(str, CPUS), "300", "x", "²"]),
        "ecs/memory": st.sampled_from([str(memory) for _, memory in PAIRS] + ["-1", ""]),
        "ecs/ephemeral_storage": st.integers(15, 210).map(str),
        "ecs/task_overrides": object_of(
            TaskOverrides,
            {
                "cpu": sizes,
                "memory": sizes,
                "taskRoleArn": st.text(max_size=9),
                "containerOverrides": st.lists(
                    st.fixed_dictionaries({}, optional=container), max_size=2
                ),
            },
        ),
        "ecs/container_overrides": object_of(ContainerOverride, container),
        "ecs/run_task_kwargs": object_of(
            RunTaskArguments,
            {
                "tags": st.lists(ecs_tags, max_size=60),
                "group": st.text(max_size=9),
                "capacityProviderStrategy": st.lists(
                    st.fixed_dictionaries(
                        {"capacityProvider": st.sampled_from(["FARGATE", "FARGATE_SPOT"])}
                    ),
                    max_size=2,
                ),
                "networkConfiguration": st.just({"awsvpcConfiguration": {"subnets": ["s", "t"]}}),
            },
        ),
        "team": st.text(max_size=9),
    },
)


def answer(launch: IsolatedLaunch) -> dict[str, Any] | LaunchTagsError:
    try:
        return request(DEPLOYED, launch)
    except LaunchTagsError as error:
        return error


@given(run_tags, st.text(min_size=1, max_size=80), st.integers(1, 9))
def test_any_tags(tags: dict[str, str], run_id: str, attempt: int) -> None:
    launch = IsolatedLaunch(run_id, attempt, "sales", REVISION, tags=tags, job=run_id)
    sent = answer(launch)
    if isinstance(sent, LaunchTagsError):
        assert sent.problems
        assert all(problem.key.startswith("ecs/") for problem in sent.problems)
        return

    again = IsolatedLaunch(run_id, attempt, "sales", REVISION, dict(reversed(tags.items())), run_id)
    assert json.dumps(request(DEPLOYED, again)) == json.dumps(sent)
    report = ParamValidator().validate(sent, ECS.shape_for("RunTaskRequest"))
    assert not report.has_errors(), report.generate_report()
    check_limits(sent)
    check_ours(sent, run_id, attempt)


def check_limits(sent: dict[str, Any]) -> None:
    overrides = sent["overrides"]
    assert len(json.dumps(overrides)) <= 8192
    assert ("launchType" in sent) != ("capacityProviderStrategy" in sent)
    keys = [tag["key"] for tag in sent["tags"]]
    assert len(keys) == len(set(keys)) <= 50
    assert all(len(tag["key"]) <= 128 and len(tag["value"]) <= 256 for tag in sent["tags"])
    assert 21 <= overrides.get("ephemeralStorage", {"sizeInGiB": 21})["sizeInGiB"] <= 200
    size = int(overrides.get("cpu", 4096)), int(overrides.get("memory", 16384))
    assert size in PAIRS
    assert size[0] <= LARGEST[0]
    assert size[1] <= LARGEST[1]
    (one,) = overrides["containerOverrides"]
    assert one.get("cpu", 1) <= size[0]
    assert one.get("memory", 1) <= size[1]


def check_ours(sent: dict[str, Any], run_id: str, attempt: int) -> None:
    assert sent["cluster"] == DEPLOYED.cluster
    assert (sent["taskDefinition"], sent["count"]) == (REVISION, 1)
    assert len(sent["clientToken"]) == 64
    (one,) = sent["overrides"]["containerOverrides"]
    environment = {variable["name"]: variable["value"] for variable in one["environment"]}
    assert environment["RUN_ISOLATION_RUN_ID"] == run_id
    assert environment["RUN_ISOLATION_ATTEMPT"] == str(attempt)
    assert {"key": "run_isolation/attempt", "value": str(attempt)} in sent["tags"]
    assert attempt == 1 or sent["launchType"] == "FARGATE"
