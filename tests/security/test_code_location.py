"""What the code of one code location can and can't do in AWS, asked on an account that enforces.

The roles have the statements that the program gives them. `docs/security.md` has a line for each
test here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from types_boto3_dynamodb import DynamoDBClient

from infra import policy_statements
from infra.deployment import Deployment, Kind
from localaws.account import ACCOUNT_ID, LocalAccount
from run_isolation import Acquired, Denied, Holder, NonIsolatedRuns, Slots
from run_isolation.slots.item import KEY, tickets_of
from run_isolation.table import instance_key
from tests.infra.program import deployment as program
from tests.localaws.roles import make_role
from tests.runtime.tables import configure, create_table

REGION = "us-east-1"
DEPLOYMENT = Deployment("prod", ACCOUNT_ID, REGION, "aws", program(account=ACCOUNT_ID).config)
HERE = f"{REGION}:{ACCOUNT_ID}"
TABLE = DEPLOYMENT.table
OURS = Holder("ours", 1, "sales")
THEIRS = Holder("theirs", 1, "research_lab")
LIMITS = NonIsolatedRuns(
    enabled=True, max_concurrent_non_isolated_runs=2, location_limits={"sales": 1}
)
ONCE = Config(retries={"total_max_attempts": 1}, inject_host_prefix=False)


@dataclass
class Code:
    """The code of `sales`, with the credentials of a kind of its tasks."""

    account: LocalAccount
    kind: Kind
    credentials: dict[str, str]

    def client(self, service: str) -> Any:
        keys = self.credentials
        return boto3.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"], region_name=REGION
        ).client(  # type: ignore[call-overload]
            service, endpoint_url=self.account.endpoint_url, config=ONCE
        )

    def may(self, service: str, call: str, /, **arguments: Any) -> bool:
        """Whether IAM lets a call pass; what AWS makes of it is another matter."""
        try:
            getattr(self.client(service), call)(**arguments)
        except ClientError as error:
            return error.response["Error"]["Code"] not in ("AccessDenied", "AccessDeniedException")
        return True

    def changes(self, update: str, **more: Any) -> bool:
        """Whether it may write to the slots item by this expression."""
        return self.may(
            "dynamodb", "update_item", TableName=TABLE, Key=KEY, UpdateExpression=update, **more
        )


@pytest.fixture(params=Kind)
def code(request: pytest.FixtureRequest, local_account: LocalAccount) -> Iterator[Code]:
    yield from _code(local_account, request.param)


@pytest.fixture
def standing(local_account: LocalAccount) -> Iterator[Code]:
    yield from _code(local_account, Kind.STANDING)


@pytest.fixture
def isolated(local_account: LocalAccount) -> Iterator[Code]:
    yield from _code(local_account, Kind.ISOLATED)


def _code(account: LocalAccount, kind: Kind) -> Iterator[Code]:
    iam, name = account.client("iam"), DEPLOYMENT.role("sales", kind)
    statements = getattr(policy_statements, kind)(DEPLOYMENT, "sales")
    session = account.identities.open(make_role(iam, name, *statements), "task")
    yield Code(account, kind, session.credentials())
    account.identities.close(session)
    iam.delete_role_policy(RoleName=name, PolicyName="own")
    iam.delete_role(RoleName=name)


@pytest.fixture
def slots(local_account: LocalAccount) -> Iterator[Slots]:
    """As whoever has the launcher's rights sees them: one holder of each code location."""
    client: DynamoDBClient = local_account.client("dynamodb")
    create_table(client, TABLE)
    configure(client, LIMITS, TABLE)
    slots = Slots(client, TABLE)
    for holder in (OURS, THEIRS):
        assert slots.acquire(holder) == Acquired(holder)
    yield slots
    client.delete_table(TableName=TABLE)


def numbers(**values: int) -> dict[str, Any]:
    return {f":{name}": {"N": str(value)} for name, value in values.items()}


# What it can't do.

RAISES: dict[str, Callable[[Code], bool]] = {
    "the deployment's limit": lambda code: code.changes(
        "SET max_holders = :many", ExpressionAttributeValues=numbers(many=1000)
    ),
    "by another name": lambda code: code.changes(
        "SET #limit = :many",
        ExpressionAttributeNames={"#limit": "max_holders"},
        ExpressionAttributeValues=numbers(many=1000),
    ),
    "its own location's": lambda code: code.changes(
        "SET location_limits.sales = :many", ExpressionAttributeValues=numbers(many=1000)
    ),
    "none at all": lambda code: code.changes("REMOVE max_holders, location_limits"),
    "beside what it may": lambda code: code.changes(
        "SET holders.ours.attempt = :many, max_holders = :many",
        ExpressionAttributeValues=numbers(many=1000),
    ),
    "in the older way": lambda code: code.may(
        "dynamodb",
        "update_item",
        TableName=TABLE,
        Key=KEY,
        AttributeUpdates={"max_holders": {"Value": {"N": "1000"}, "Action": "PUT"}},
    ),
    "with a new item": lambda code: code.may(
        "dynamodb", "put_item", TableName=TABLE, Item={**KEY, "max_holders": {"N": "1000"}}
    ),
    "without an item": lambda code: code.may("dynamodb", "delete_item", TableName=TABLE, Key=KEY),
    "in a transaction": lambda code: code.may(
        "dynamodb",
        "transact_write_items",
        TransactItems=[
            {
                "Update": {
                    "TableName": TABLE,
                    "Key": KEY,
                    "UpdateExpression": "SET max_holders = :many",
                    "ExpressionAttributeValues": numbers(many=1000),
                }
            }
        ],
    ),
    "in the settings": lambda code: code.may(
        "dynamodb",
        "update_item",
        TableName=TABLE,
        Key={"pk": {"S": "settings"}},
        UpdateExpression="SET max_concurrent_non_isolated_runs = :many",
        ExpressionAttributeValues=numbers(many=1000),
    ),
    "another location's tickets": lambda code: code.changes(
        "REMOVE #tickets", ExpressionAttributeNames={"#tickets": tickets_of("research_lab")}
    ),
}


@pytest.mark.parametrize("raises", RAISES.values(), ids=RAISES.keys())
def test_it_can_t_raise_a_limit(code: Code, slots: Slots, raises: Callable[[Code], bool]) -> None:
    assert not raises(code)
    item = slots.client.get_item(TableName=TABLE, Key=KEY)["Item"]
    assert item.items() >= LIMITS.limits_in_item().items()
    assert slots.settings() == LIMITS


ACTS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "starts a task": (
        "ecs",
        "run_task",
        {"cluster": "run-isolation-prod", "taskDefinition": "run-isolation-prod-sales-isolated"},
    ),
    "stops a task": ("ecs", "stop_task", {"cluster": "run-isolation-prod", "task": "1"}),
    "makes a task definition": (
        "ecs",
        "register_task_definition",
        {"family": "run-isolation-prod-research_lab-isolated", "containerDefinitions": []},
    ),
    "changes a service": (
        "ecs",
        "update_service",
        {"cluster": "run-isolation-prod", "service": "research_lab", "desiredCount": 0},
    ),
    "takes on a role": (
        "sts",
        "assume_role",
        {
            "RoleArn": DEPLOYMENT.role_arn("research_lab", Kind.ISOLATED),
            "RoleSessionName": "somebody",
        },
    ),
    "gives itself a policy": (
        "iam",
        "put_role_policy",
        {
            "RoleName": DEPLOYMENT.role("sales", Kind.ISOLATED),
            "PolicyName": "x",
            "PolicyDocument": "{}",
        },
    ),
    "writes the manifest": (
        "ssm",
        "put_parameter",
        {"Name": DEPLOYMENT.manifest_parameter, "Value": "{}", "Type": "String"},
    ),
    "writes the instance": (
        "dynamodb",
        "put_item",
        {"TableName": TABLE, "Item": {"pk": {"S": instance_key("1")}}},
    ),
    "reads another location's secret": (
        "secretsmanager",
        "get_secret_value",
        {"SecretId": f"arn:aws:secretsmanager:{HERE}:secret:research-123456"},
    ),
    "reads logs": (
        "logs",
        "get_log_events",
        {"logGroupName": DEPLOYMENT.log_group("research_lab"), "logStreamName": "x"},
    ),
    "writes logs of others": (
        "logs",
        "create_log_stream",
        {"logGroupName": DEPLOYMENT.log_group("research_lab"), "logStreamName": "x"},
    ),
    "reads another deployment's slots": (
        "dynamodb",
        "get_item",
        {"TableName": "run-isolation-test-slots", "Key": KEY},
    ),
}


@pytest.mark.parametrize(("service", "call", "arguments"), ACTS.values(), ids=ACTS.keys())
def test_it_can_t_act_as_another(
    code: Code, slots: Slots, service: str, call: str, arguments: dict[str, Any]
) -> None:
    assert not code.may(service, call, **arguments)


@pytest.mark.parametrize("bucket", ["compute-logs", "outputs"])
def test_it_can_t_delete_logs_and_outputs(code: Code, bucket: str) -> None:
    name = DEPLOYMENT.own_bucket(bucket)
    assert not code.may("s3", "delete_object", Bucket=name, Key="prod/theirs")
    assert not code.may("s3", "delete_bucket", Bucket=name)


def test_it_can_t_claim_a_run_in_a_standing_container(standing: Code, slots: Slots) -> None:
    claim = {"pk": {"S": "claim#theirs"}}
    assert not standing.may("dynamodb", "put_item", TableName=TABLE, Item=claim)


# What it can do: here code locations of one deployment trust each other.


def test_it_can_take_others_slots_away(standing: Code, slots: Slots) -> None:
    assert standing.changes("REMOVE holders.#run", ExpressionAttributeNames={"#run": THEIRS.run_id})
    assert slots.holders() == (OURS,)


def test_it_can_take_all_slots(standing: Code, slots: Slots) -> None:
    slots.remove(THEIRS)
    assert standing.changes(
        "SET holders.#run = holders.#ours",
        ExpressionAttributeNames={"#run": "planted", "#ours": OURS.run_id},
    )
    assert isinstance(slots.acquire(THEIRS), Denied)


def test_it_can_see_who_holds_slots(standing: Code, slots: Slots) -> None:
    with pytest.raises(ClientError) as refused:
        standing.client("dynamodb").update_item(
            TableName=TABLE,
            Key=KEY,
            UpdateExpression="REMOVE holders.none",
            ConditionExpression="attribute_not_exists(holders)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    response: Any = refused.value.response
    assert response["Item"]["holders"]["M"].keys() == {OURS.run_id, THEIRS.run_id}


def test_it_can_claim_another_s_run(isolated: Code, slots: Slots) -> None:
    claim = {"pk": {"S": "claim#theirs"}, "attempt": {"N": "1000"}, "task": {"S": "ours"}}
    assert isolated.may("dynamodb", "put_item", TableName=TABLE, Item=claim)


@pytest.mark.parametrize("bucket", ["compute-logs", "outputs"])
def test_it_can_read_and_replace_logs_and_outputs_of_others(code: Code, bucket: str) -> None:
    name = DEPLOYMENT.own_bucket(bucket)
    code.account.client("s3").create_bucket(Bucket=name)
    assert code.may("s3", "put_object", Bucket=name, Key="prod/theirs", Body=b"ours")
    assert code.may("s3", "get_object", Bucket=name, Key="prod/theirs")
    code.account.client("s3").delete_object(Bucket=name, Key="prod/theirs")
    code.account.client("s3").delete_bucket(Bucket=name)


def test_it_can_protect_and_see_tasks_of_others(standing: Code) -> None:
    cluster = DEPLOYMENT.cluster_arn
    task = DEPLOYMENT.arn("ecs", "task/run-isolation-prod/theirs")
    assert standing.may("ecs", "describe_tasks", cluster=cluster, tasks=[task])
    assert standing.may(
        "ecs", "update_task_protection", cluster=cluster, tasks=[task], protectionEnabled=True
    )
