"""Every call of a role is decided by its policies, and refused in AWS's words."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
import requests
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError

from localaws.account import ACCOUNT_ID, LocalAccount
from localaws.iam.identities import Session
from tests.localaws.roles import document, make_role, trust

PREFIX = f"us-east-1:{ACCOUNT_ID}"
ONCE = Config(retries={"total_max_attempts": 1}, inject_host_prefix=False)


@dataclass
class Actor:
    """A role, and a session of it."""

    account: LocalAccount
    name: str
    role: str
    session: Session

    def client(self, service: str, **options: Any) -> Any:
        keys = self.session.credentials()
        return boto3.Session(
            keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"], region_name="us-east-1"
        ).client(  # type: ignore[call-overload]
            service,
            endpoint_url=self.account.endpoint_url,
            config=ONCE.merge(Config(**options)),
        )

    def may(self, *statements: dict[str, Any]) -> None:
        """From now on these are all its rights."""
        iam = self.account.client("iam")
        iam.put_role_policy(
            RoleName=self.name, PolicyName="own", PolicyDocument=document(*statements)
        )


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


@pytest.fixture
def actor(local_account: LocalAccount) -> Iterator[Actor]:
    name = f"r-{uuid.uuid4().hex[:8]}"
    role = make_role(local_account.client("iam"), name)
    session = local_account.identities.open(role, "someone")
    local_account.decisions.clear()
    yield Actor(local_account, name, role, session)
    local_account.identities.close(session)


def refused(call: Callable[[], Any]) -> tuple[str, str, int]:
    """Code, message and HTTP status of the error that a call is answered with."""
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response
    status = error["ResponseMetadata"]["HTTPStatusCode"]
    return error["Error"]["Code"], error["Error"]["Message"], status


ITEM = {"pk": {"S": "slots"}}
DENIALS: list[tuple[str, str, str, str, int, Callable[[Any], Any]]] = [
    (
        *("ecs", "ecs:ListTasks", "*", "AccessDeniedException", 400),
        lambda client: client.list_tasks(cluster="c"),
    ),
    (
        *("ecs", "ecs:StopTask", f"arn:aws:ecs:{PREFIX}:task/c/1", "AccessDeniedException", 400),
        lambda client: client.stop_task(cluster="c", task="1"),
    ),
    (
        *("dynamodb", "dynamodb:GetItem", f"arn:aws:dynamodb:{PREFIX}:table/t"),
        *("AccessDeniedException", 400),
        lambda client: client.get_item(TableName="t", Key=ITEM),
    ),
    (
        *("dynamodb", "dynamodb:PutItem", f"arn:aws:dynamodb:{PREFIX}:table/t"),
        *("AccessDeniedException", 400),
        # A transaction has no right of its own: its parts do.
        lambda client: client.transact_write_items(
            TransactItems=[{"Put": {"TableName": "t", "Item": ITEM}}]
        ),
    ),
    (
        *("s3", "s3:GetObject", '"arn:aws:s3:::b/k"', "AccessDenied", 403),
        lambda client: client.get_object(Bucket="b", Key="k"),
    ),
    (
        *("s3", "s3:DeleteObject", '"arn:aws:s3:::b/k&l"', "AccessDenied", 403),
        lambda client: client.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "k&l"}]}),
    ),
    (
        *("s3", "s3:ListBucket", '"arn:aws:s3:::b"', "AccessDenied", 403),
        lambda client: client.list_objects_v2(Bucket="b"),
    ),
    (
        *("ssm", "ssm:GetParameter", f"arn:aws:ssm:{PREFIX}:parameter/a/b"),
        *("AccessDeniedException", 400),
        lambda client: client.get_parameter(Name="/a/b"),
    ),
    (
        *("secretsmanager", "secretsmanager:GetSecretValue"),
        *(f"arn:aws:secretsmanager:{PREFIX}:secret:s-123456", "AccessDeniedException", 400),
        lambda client: client.get_secret_value(
            SecretId=f"arn:aws:secretsmanager:{PREFIX}:secret:s-123456"
        ),
    ),
    (
        *("logs", "logs:GetLogEvents", f"arn:aws:logs:{PREFIX}:log-group:/g:log-stream:s"),
        *("AccessDeniedException", 400),
        lambda client: client.get_log_events(logGroupName="/g", logStreamName="s"),
    ),
    (
        *("servicediscovery", "servicediscovery:DiscoverInstances", "*"),
        *("AccessDeniedException", 400),
        lambda client: client.discover_instances(NamespaceName="n", ServiceName="s"),
    ),
]


@pytest.mark.parametrize(
    ("service", "action", "resource", "code", "status", "call"),
    DENIALS,
    ids=[f"{one[1]}-{number}" for number, one in enumerate(DENIALS)],
)
def test_denials_are_aws_s(
    actor: Actor,
    service: str,
    action: str,
    resource: str,
    code: str,
    status: int,
    call: Callable[[Any], Any],
) -> None:
    client = actor.client(service)
    who = f"User: arn:aws:sts::{ACCOUNT_ID}:assumed-role/{actor.name}/someone"
    message = (
        f"{who} is not authorized to perform: {action} on resource: {resource} "
        f"because no identity-based policy allows the {action} action"
    )
    assert refused(lambda: call(client)) == (code, message, status)
    actor.may({**allow("*"), "Effect": "Deny"})
    assert refused(lambda: call(client))[1] == (
        f"{who} is not authorized to perform: {action} on resource: {resource} "
        "with an explicit deny in an identity-based policy"
    )


def test_who_may_is_let_through_and_the_statement_recorded(actor: Actor) -> None:
    actor.account.client("ssm").put_parameter(Name=f"/{actor.name}", Type="String", Value="v")
    arn = f"arn:aws:ssm:{PREFIX}:parameter/{actor.name}"
    actor.may(allow("ssm:GetParameter", arn, Sid="MayDo"))
    found = actor.client("ssm").get_parameter(Name=f"/{actor.name}")
    assert found["Parameter"]["Value"] == "v"
    [ruling] = actor.account.decisions.all()
    assert (ruling.call, ruling.action, ruling.resource) == (
        "ssm:GetParameter",
        "ssm:GetParameter",
        arn,
    )
    assert (ruling.role, ruling.allowed, ruling.by) == (actor.role, True, "own:MayDo")
    assert ruling.context["aws:principalarn"] == actor.role


def test_a_managed_policy_counts_while_it_is_attached(actor: Actor) -> None:
    iam = actor.account.client("iam")
    policy = iam.create_policy(
        PolicyName=actor.name, PolicyDocument=document(allow("ecs:ListTasks"))
    )["Policy"]["Arn"]
    actor.account.client("ecs").create_cluster(clusterName=actor.name)
    ecs = actor.client("ecs")
    iam.attach_role_policy(RoleName=actor.name, PolicyArn=policy)
    assert ecs.list_tasks(cluster=actor.name)["taskArns"] == []
    iam.create_policy_version(
        PolicyArn=policy, PolicyDocument=document(allow("ecs:StopTask")), SetAsDefault=True
    )
    assert refused(lambda: ecs.list_tasks(cluster=actor.name))[0] == "AccessDeniedException"
    iam.detach_role_policy(RoleName=actor.name, PolicyArn=policy)


def test_an_operation_without_a_row_is_denied_by_name(actor: Actor) -> None:
    actor.may(allow("*"))
    code, message, _ = refused(lambda: actor.client("ecs").delete_cluster(cluster="c"))
    assert code == "AccessDeniedException"
    assert "ecs:DeleteCluster because localaws has no row for it" in message
    code, message, _ = refused(lambda: actor.client("s3").delete_bucket(Bucket="b"))
    assert (code, "s3:DELETE /b because localaws" in message) == ("AccessDenied", True)


def test_a_session_s_name_is_the_caller_of_its_calls(actor: Actor) -> None:
    actor.account.calls.clear()
    identity = actor.client("sts").get_caller_identity()
    assert identity["Arn"].endswith(f":assumed-role/{actor.name}/someone")
    assert [call.operation for call in actor.account.calls.all(caller="someone")] == [
        "GetCallerIdentity"
    ]


def test_keys_of_nobody_are_refused(actor: Actor) -> None:
    ecs, s3, sts = (actor.client(name) for name in ("ecs", "s3", "sts"))
    identities = actor.account.identities
    other = identities.open(actor.role, "someone-else")
    mixed = boto3.Session(other.access_key, "x", "not-its-token", region_name="us-east-1").client(
        "ecs", endpoint_url=actor.account.endpoint_url, config=ONCE
    )
    assert refused(mixed.list_tasks)[0] == "UnrecognizedClientException"
    identities.close(actor.session)
    assert identities.serve(actor.session.path) is None
    assert refused(ecs.list_tasks)[0] == "UnrecognizedClientException"
    assert refused(s3.list_buckets)[0] == "InvalidAccessKeyId"
    assert refused(sts.get_caller_identity)[0] == "InvalidClientTokenId"


def test_nobody_in_particular_may_do_nothing(local_account: LocalAccount) -> None:
    config = Config(signature_version=UNSIGNED)
    ssm = local_account.client("ssm", config=config)
    assert refused(lambda: ssm.get_parameter(Name="/a")) == (
        "MissingAuthenticationToken",
        "Request is missing Authentication Token",
        403,
    )
    s3 = local_account.client("s3", config=config)
    assert refused(lambda: s3.get_object(Bucket="b", Key="k"))[0] == "AccessDenied"


def test_leading_keys(actor: Actor) -> None:
    root = actor.account.client("dynamodb")
    root.create_table(
        TableName=actor.name,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    actor.may(
        allow(
            ["dynamodb:GetItem", "dynamodb:BatchGetItem", "dynamodb:Scan", "dynamodb:Query"],
            Condition={
                "ForAllValues:StringLike": {"dynamodb:LeadingKeys": ["claim#*"]},
                "Null": {"dynamodb:LeadingKeys": "false"},
            },
        )
    )
    client = actor.client("dynamodb")
    mine, other = {"pk": {"S": "claim#1"}}, {"pk": {"S": "slots"}}
    client.get_item(TableName=actor.name, Key=mine)
    client.query(
        TableName=actor.name,
        KeyConditionExpression="pk = :k",
        ExpressionAttributeValues={":k": {"S": "claim#1"}},
    )
    client.batch_get_item(RequestItems={actor.name: {"Keys": [mine]}})
    for call in (
        lambda: client.get_item(TableName=actor.name, Key=other),
        lambda: client.batch_get_item(RequestItems={actor.name: {"Keys": [mine, other]}}),
        lambda: client.scan(TableName=actor.name),
    ):
        assert refused(call)[0] == "AccessDeniedException"


def test_what_is_not_there_is_forbidden_to_those_who_may_not_list(actor: Actor) -> None:
    root = actor.account.client("s3")
    root.create_bucket(Bucket=actor.name)
    root.put_object(Bucket=actor.name, Key="k", Body=b"body")
    s3 = actor.client("s3")
    actor.may(allow("s3:GetObject", f"arn:aws:s3:::{actor.name}/*"))
    assert s3.get_object(Bucket=actor.name, Key="k")["Body"].read() == b"body"
    assert refused(lambda: s3.get_object(Bucket=actor.name, Key="no"))[0] == "AccessDenied"
    assert refused(lambda: s3.head_object(Bucket=actor.name, Key="no"))[2] == 403
    actor.may(
        allow("s3:GetObject", f"arn:aws:s3:::{actor.name}/*"),
        allow("s3:ListBucket", f"arn:aws:s3:::{actor.name}"),
    )
    assert refused(lambda: s3.get_object(Bucket=actor.name, Key="no"))[0] == "NoSuchKey"


def test_a_presigned_url_is_its_signer_s_call(actor: Actor) -> None:
    root = actor.account.client("s3")
    root.create_bucket(Bucket=actor.name)
    root.put_object(Bucket=actor.name, Key="k", Body=b"body")
    url = actor.client("s3", signature_version="s3v4").generate_presigned_url(
        "get_object", Params={"Bucket": actor.name, "Key": "k"}
    )
    assert requests.get(url, timeout=5).status_code == 403
    actor.may(allow("s3:GetObject", f"arn:aws:s3:::{actor.name}/*"))
    assert requests.get(url, timeout=5).content == b"body"


def test_a_role_that_trusts_a_role_can_be_taken_on(actor: Actor) -> None:
    iam, sts = actor.account.client("iam"), actor.client("sts")
    other = make_role(iam, f"{actor.name}-2", trusts=trust({"AWS": ACCOUNT_ID}))
    ask = {"RoleArn": other, "RoleSessionName": "later"}
    assert refused(lambda: sts.assume_role(**ask))[0] == "AccessDenied"
    actor.may(allow("sts:AssumeRole", other))
    keys = sts.assume_role(**ask)["Credentials"]
    later = boto3.Session(
        keys["AccessKeyId"],
        keys["SecretAccessKey"],
        keys["SessionToken"],
        region_name="us-east-1",
    ).client("ecs", endpoint_url=actor.account.endpoint_url, config=ONCE)
    assert f"assumed-role/{actor.name}-2/later" in refused(lambda: later.list_tasks())[1]


def test_sessions_over_http(actor: Actor) -> None:
    url = f"{actor.account.endpoint_url}/_localaws"
    root = requests.Session()
    root.headers["X-Amz-Security-Token"] = actor.account.identities.root_token
    asked = {"role": actor.role, "name": "web"}
    environment = root.post(f"{url}/sessions", json=asked, timeout=5).json()
    keys = requests.get(environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"], timeout=5).json()
    assert actor.account.identities.of(keys["AccessKeyId"], keys["Token"]).name == "web"
    root.delete(f"{url}/decisions", timeout=5)
    assert refused(lambda: actor.client("ecs").list_tasks())[0] == "AccessDeniedException"
    [ruling] = root.get(f"{url}/decisions", timeout=5).json()
    assert (ruling["action"], ruling["allowed"]) == ("ecs:ListTasks", False)
    assert json.dumps(ruling["context"])


def test_attributes_are_those_that_expressions_name(actor: Actor) -> None:
    client = actor.client("dynamodb")
    refused(
        lambda: client.update_item(
            TableName="t",
            Key=ITEM,
            UpdateExpression="SET #one = if_not_exists(two, :v) REMOVE three.four",
            ConditionExpression="attribute_exists (five) AND (size(six) < :v OR contains(pk, :v))",
            ExpressionAttributeNames={"#one": "one"},
            ExpressionAttributeValues={":v": {"S": "v"}},
        )
    )
    [ruling] = actor.account.decisions.all()
    wanted = {"pk", "one", "two", "three", "five", "six"}
    assert set(ruling.context["dynamodb:attributes"]) == wanted
