"""What others may rely on: the names, the example, and how little an import costs."""

import inspect
import json
import subprocess
import sys
import textwrap
from types import ModuleType

import boto3
import pytest
from types_boto3_dynamodb import DynamoDBClient

import run_isolation
from run_isolation import Kind, NonIsolatedRuns, Slots
from tests.runtime.manifests import MANIFEST
from tests.runtime.tables import TABLE, configure


def test_all_is_complete_and_sorted() -> None:
    public = {
        name
        for name, value in vars(run_isolation).items()
        if not name.startswith("_") and not isinstance(value, ModuleType)
    }

    assert run_isolation.__all__ == sorted(run_isolation.__all__)
    assert set(run_isolation.__all__) == public | {"aws"}


@pytest.mark.parametrize("module", ["run_isolation", "run_isolation.cli"])
def test_import_is_light(module: str) -> None:
    program = f"import json, sys, {module}; print(json.dumps(sorted(sys.modules)))"
    answer = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    imported = {name.split(".")[0] for name in json.loads(answer.stdout)}

    assert "run_isolation" in imported
    assert not imported & {"dagster", "pulumi", "boto3", "grpc", "rich"}


@pytest.fixture
def deployed(client: DynamoDBClient) -> str:
    """What `pulumi up` leaves behind. Returns the isolated task definition's revision."""
    subnet = boto3.client("ec2", "us-east-1").describe_subnets()["Subnets"][0]["SubnetId"]
    network = MANIFEST.network.model_copy(update={"subnets": [subnet]})
    manifest = MANIFEST.model_copy(update={"network": network})
    boto3.client("ssm", "us-east-1").put_parameter(
        Name="/run-isolation/prod/manifest", Value=manifest.to_json(), Type="String"
    )
    ecs = run_isolation.aws.ecs()
    ecs.create_cluster(clusterName="run-isolation-test")
    definition = ecs.register_task_definition(
        family="run-isolation-test-sales-isolated",
        networkMode="awsvpc",
        cpu="4096",
        memory="16384",
        containerDefinitions=[{"name": "dagster", "image": "sales", "memory": 16384}],
    )
    return definition["taskDefinition"]["taskDefinitionArn"]


def test_example_of_the_docstring(client: DynamoDBClient, deployed: str) -> None:
    _, _, rest = (inspect.getdoc(run_isolation) or "").partition("::\n\n")
    example = textwrap.dedent(rest.partition("\n\nWhat can go wrong")[0])
    assert "acquire" in example
    slots = Slots(client, TABLE)
    held_meanwhile = []

    def run() -> dict[str, object]:
        names = dict(
            vars(run_isolation),
            REVISION=deployed,
            execute_here=lambda run_id: held_meanwhile.append(slots.holders()),
        )
        exec(example, names)
        return names

    first = run()
    assert first["decision"].kind is Kind.NON_ISOLATED  # type: ignore[attr-defined]
    assert [[holder.run_id for holder in holders] for holders in held_meanwhile] == [["run-1"]]
    assert slots.holders() == ()

    slots.acquire(run_isolation.Holder("run-0", 1, "sales"))
    second = run()
    assert "run-0" in second["decision"].reason  # type: ignore[attr-defined]
    assert str(second["task_arn"]).startswith("arn:aws:ecs:us-east-1:")

    configure(client, NonIsolatedRuns())
    assert "disabled" in run()["decision"].reason  # type: ignore[attr-defined]
