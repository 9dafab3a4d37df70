"""RunTask for a role, the task's own role, and its execution role."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from localaws.account import ACCOUNT_ID, LocalAccount
from localaws.ecs.task import Task
from tests.localaws.conftest import LOG_GROUP, Cluster
from tests.localaws.roles import EVERYTHING, TASKS, document, make_role, trust
from tests.waiting import eventually

PREFIX = f"us-east-1:{ACCOUNT_ID}"
DENIED = "AccessDeniedException"

#: What the launcher of docs/operations.md may do, on any family.
LAUNCH: dict[str, Any] = {
    "Effect": "Allow",
    "Action": "ecs:RunTask",
    "Resource": f"arn:aws:ecs:{PREFIX}:task-definition/*",
    "Condition": {
        "NumericLessThanEqualsIfExists": {"ecs:task-cpu": "1024", "ecs:task-memory": "2048"},
        "StringEqualsIfExists": {"ecs:enable-execute-command": "false"},
    },
}
TAG = {
    "Effect": "Allow",
    "Action": "ecs:TagResource",
    "Resource": f"arn:aws:ecs:{PREFIX}:task/*",
    "Condition": {"StringEquals": {"ecs:CreateAction": "RunTask"}},
}


def may_pass(role: str) -> dict[str, Any]:
    condition = {"StringEquals": {"iam:PassedToService": TASKS}}
    return {
        "Effect": "Allow",
        "Action": "iam:PassRole",
        "Resource": role,
        "Condition": condition,
    }


@pytest.fixture
def role(local_account: LocalAccount) -> Callable[..., str]:
    """Makes a role of its own for a test; its ARN."""

    def make(*statements: dict[str, Any], trusts: str | None = None) -> str:
        name = f"r-{uuid.uuid4().hex[:8]}"
        return make_role(local_account.client("iam"), name, *statements, trusts=trusts)

    return make


def run_as(account: LocalAccount, role: str, cluster: Cluster, definition: str, **more: Any) -> Any:
    keys = account.identities.open(role, "launcher").credentials()
    ecs = boto3.Session(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"], region_name="us-east-1"
    ).client("ecs", endpoint_url=account.endpoint_url)
    network = {"networkConfiguration": cluster.network, "launchType": "FARGATE"}
    return ecs.run_task(
        **{"cluster": cluster.name, "taskDefinition": definition, **network, **more}
    )


def denied_action(call: Callable[[], Any]) -> str:
    with pytest.raises(ClientError) as caught:
        call()
    error = caught.value.response["Error"]
    assert error["Code"] == DENIED
    return str(error["Message"].partition("perform: ")[2].partition(" because")[0])


def test_run_task_needs_the_revision_the_roles_and_the_tags(
    local_account: LocalAccount, cluster: Cluster, role: Callable[..., str]
) -> None:
    mine, other = role(EVERYTHING), role(EVERYTHING)
    definition = cluster.register(
        cluster.container("exec sleep 60"), taskRoleArn=mine, executionRoleArn=other
    )

    def run(launcher: str, **more: Any) -> Callable[[], Any]:
        return lambda: run_as(local_account, launcher, cluster, definition, **more)

    # The family alone is asked for as the revision that it stands for.
    by_family = {"taskDefinition": cluster.name}
    assert denied_action(run(role(), **by_family)) == f"ecs:RunTask on resource: {definition}"
    assert denied_action(run(role(LAUNCH))) == f"iam:PassRole on resource: {mine}"
    only_mine = role(LAUNCH, may_pass(mine))
    assert denied_action(run(only_mine)) == f"iam:PassRole on resource: {other}"
    launcher = role(LAUNCH, may_pass(mine), may_pass(other))
    assert run(launcher)()["tasks"]
    tags = {"tags": [{"key": "run", "value": "1"}]}
    tagged = f"arn:aws:ecs:{PREFIX}:task/{cluster.name}/*"
    assert denied_action(run(launcher, **tags)) == f"ecs:TagResource on resource: {tagged}"
    assert run(role(LAUNCH, may_pass(mine), may_pass(other), TAG), **tags)()["tasks"]
    # A role that the request puts in place of the definition's own.
    override = {"overrides": {"taskRoleArn": other}}
    assert denied_action(run(only_mine, **override)) == f"iam:PassRole on resource: {other}"


def test_run_task_s_conditions_are_about_what_the_request_overrides(
    local_account: LocalAccount, cluster: Cluster, role: Callable[..., str]
) -> None:
    free = role(EVERYTHING)
    launcher = role(LAUNCH, may_pass(free))
    # Larger than the cap, as the definition says and not the request.
    definition = cluster.register(
        cluster.container("exec sleep 60"),
        taskRoleArn=free,
        executionRoleArn=free,
        cpu="2048",
        memory="4096",
    )

    def run(**more: Any) -> Callable[[], Any]:
        return lambda: run_as(local_account, launcher, cluster, definition, **more)

    assert run()()["tasks"]
    assert run(overrides={"cpu": "1024", "memory": "2048"})()["tasks"]
    asked = f"ecs:RunTask on resource: {definition}"
    assert denied_action(run(overrides={"cpu": "2048", "memory": "4096"})) == asked
    assert denied_action(run(enableExecuteCommand=True)) == asked


def test_tags_of_tasks_and_services_are_in_the_context(
    local_account: LocalAccount, cluster: Cluster, role: Callable[..., str]
) -> None:
    tags = [{"key": "team", "value": "data"}]
    definition = cluster.register(cluster.container("exec sleep 60"))
    task = cluster.start(definition, tags=tags)
    cluster.create_service(definition, tags=tags, desiredCount=0)
    caller = role(
        *(
            {
                "Effect": "Allow",
                "Action": action,
                "Resource": "*",
                "Condition": {"StringEquals": {"aws:ResourceTag/team": "data"}},
            }
            for action in ("ecs:StopTask", "ecs:DescribeServices")
        )
    )
    keys = local_account.identities.open(caller, "one").credentials()
    ecs = boto3.Session(
        keys["AccessKeyId"], keys["SecretAccessKey"], keys["Token"], region_name="us-east-1"
    ).client("ecs", endpoint_url=local_account.endpoint_url)
    assert ecs.describe_services(cluster=cluster.name, services=["web"])["services"]
    assert ecs.stop_task(cluster=cluster.name, task=task.id)["task"]
    other = cluster.start(definition)
    assert denied_action(lambda: ecs.stop_task(cluster=cluster.name, task=other.id)) == (
        f"ecs:StopTask on resource: {other.task_arn}"
    )


def test_ecs_must_be_trusted_with_each_role(
    local_account: LocalAccount, cluster: Cluster, role: Callable[..., str]
) -> None:
    condition = {"ArnLike": {"aws:SourceArn": f"arn:aws:ecs:{PREFIX}:*"}}
    statement = {"Effect": "Allow", "Principal": {"Service": TASKS}, "Action": "sts:AssumeRole"}
    good = role(trusts=document({**statement, "Condition": condition}))
    elsewhere = {"ArnLike": {"aws:SourceArn": f"arn:aws:ecs:eu-west-1:{ACCOUNT_ID}:*"}}
    bad = [
        role(trusts=document({**statement, "Condition": elsewhere})),
        role(trusts=trust({"Service": "ec2.amazonaws.com"})),
        f"arn:aws:iam::{ACCOUNT_ID}:role/nowhere",
    ]
    container = {"name": "main", "image": "plain", "command": ["true"]}

    def start(task_role: str) -> Any:
        registered = cluster.ecs.register_task_definition(
            family=cluster.name,
            requiresCompatibilities=["FARGATE"],
            networkMode="awsvpc",
            cpu="256",
            memory="512",
            containerDefinitions=[container],
            taskRoleArn=task_role,
        )
        return cluster.run_task(registered["taskDefinition"]["taskDefinitionArn"])

    assert start(good)["tasks"]
    for arn in bad:
        with pytest.raises(ClientError, match=f"ECS was unable to assume the role '{arn}'") as info:
            start(arn)
        assert info.value.response["Error"]["Code"] == "ClientException"


def test_a_service_says_that_its_role_is_not_trusted(
    cluster: Cluster, role: Callable[..., str]
) -> None:
    bad = role(trusts=trust({"Service": "ec2.amazonaws.com"}))
    definition = cluster.register(cluster.container("exec sleep 60"), taskRoleArn=bad)
    cluster.create_service(definition)
    eventually(
        lambda: any(
            "ECS was unable to assume the role" in event["message"]
            for event in cluster.service()["events"]
        )
    )


ASK = """
import boto3
print(boto3.client("sts").get_caller_identity()["Arn"], flush=True)
try:
    boto3.client("ecs").list_clusters()
except Exception as error:
    print(error, flush=True)
"""


def test_a_task_calls_with_its_own_role(cluster: Cluster, role: Callable[..., str]) -> None:
    mine, overridden = role(), role()
    command = {"command": ["python", "-c", ASK]}
    definition = cluster.register(cluster.container("") | command, taskRoleArn=mine)
    first = cluster.start(definition)
    second = cluster.start(definition, overrides={"taskRoleArn": overridden})
    for task, arn in ((first, mine), (second, overridden)):
        task.wait_for("STOPPED", 30)
        session = f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{arn.rsplit('/', 1)[-1]}/{task.id}"
        said, error = cluster.logs(task)
        assert said == session
        assert f"{DENIED}) when calling the ListClusters operation: User: {session}" in error


def test_a_task_s_credentials_end_with_it(
    local_account: LocalAccount, cluster: Cluster, role: Callable[..., str]
) -> None:
    task = cluster.start(
        cluster.register(
            cluster.container("echo $AWS_CONTAINER_CREDENTIALS_FULL_URI; exec sleep 60"),
            taskRoleArn=role(),
        )
    )
    eventually(lambda: cluster.logs(task) != [])
    [uri] = cluster.logs(task)
    path = uri.removeprefix(local_account.endpoint_url)
    assert local_account.identities.serve(path)
    task.request_stop("UserInitiated", "test")
    task.wait_for("STOPPED")
    assert local_account.identities.serve(path) is None


def test_a_task_without_a_role_has_no_credentials(cluster: Cluster) -> None:
    command = {"command": ["python", "-c", ASK.replace("print(boto3", "#print(boto3")]}
    registered = cluster.register(cluster.container("") | command, taskRoleArn="")
    task = cluster.start(registered).wait_for("STOPPED", 30)
    assert cluster.logs(task) == ["Unable to locate credentials"]


# With what a task can know: nothing, its own token, and keys as the account's root has them.
TRESPASS = """
import boto3, json, os, urllib.request as http
from botocore.exceptions import ClientError
uri = os.environ["AWS_CONTAINER_CREDENTIALS_FULL_URI"]
own = json.load(http.urlopen(uri))["Token"]
base = os.environ["AWS_ENDPOINT_URL"]
own_paths = ("faults", "calls", "decisions", "sessions")
# moto's: they tell all of the account, and empty it.
of_moto = ("/moto-api/data.json", "/moto-api/reset", "/moto-api/")
for path in (*(f"/_localaws/{one}" for one in own_paths), *of_moto):
    for method, data in (("GET", None), ("DELETE", None), ("POST", b"{}")):
        for headers in ({}, {"X-Amz-Security-Token": own}):
            try:
                http.urlopen(http.Request(base + path, data, headers, method=method))
                print(method, path, "is open", flush=True)
            except http.HTTPError as error:
                if error.code != 403:
                    print(method, path, error.code, flush=True)
for token in (None, "", own):
    try:
        boto3.Session("test", "test", token).client("iam").list_roles()
        print("is root", flush=True)
    except ClientError as error:
        print(error.response["Error"]["Code"], flush=True)
print(http.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"] + "/task").status, flush=True)
"""


def test_a_task_is_neither_root_nor_gets_at_the_account_s_own_paths(
    cluster: Cluster, role: Callable[..., str]
) -> None:
    command = {"command": ["python", "-c", TRESPASS]}
    definition = cluster.register(cluster.container("") | command, taskRoleArn=role(EVERYTHING))
    task = cluster.start(definition).wait_for("STOPPED", 30)
    assert cluster.logs(task) == [*["InvalidClientTokenId"] * 3, "200"]


def own_logs(cluster: Cluster) -> dict[str, Any]:
    group = f"arn:aws:logs:{PREFIX}:log-group:{LOG_GROUP}:log-stream:*"
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    return {"Effect": "Allow", "Action": actions, "Resource": group}


def failed(cluster: Cluster, execution: str, **container: Any) -> str:
    """Why a task with this execution role does not start."""
    definition = cluster.register(cluster.container("true") | container, executionRoleArn=execution)
    task: Task = cluster.start(definition).wait_for("STOPPED")
    assert task.stop_code == "TaskFailedToStart"
    return str(task.stopped_reason)


def test_secrets_are_read_with_the_execution_role(
    local_account: LocalAccount, cluster: Cluster, role: Callable[..., str]
) -> None:
    arn = local_account.client("secretsmanager").create_secret(
        Name=cluster.name, SecretString="hidden"
    )["ARN"]
    local_account.client("ssm").put_parameter(Name=f"/{cluster.name}", Type="String", Value="v")
    parameter = f"arn:aws:ssm:{PREFIX}:parameter/{cluster.name}"
    execution = role(own_logs(cluster))
    secret = [{"name": "A", "valueFrom": f"{arn}:key::"}]
    reason = failed(cluster, execution, secrets=secret)
    assert reason.startswith(
        "ResourceInitializationError: unable to pull secrets or registry auth: execution resource "
        "retrieval failed: unable to retrieve secret from asm: service call has been retried 1 "
        f"time(s): failed to fetch secret {arn} from secrets manager: {DENIED}: User: "
        f"arn:aws:sts::{ACCOUNT_ID}:assumed-role/{execution.rsplit('/', 1)[-1]}/"
    )
    assert f"secretsmanager:GetSecretValue on resource: {arn} because" in reason
    reason = failed(cluster, execution, secrets=[{"name": "A", "valueFrom": parameter}])
    assert "unable to retrieve secrets from ssm" in reason
    assert f"ssm:GetParameters on resource: {parameter} because" in reason


def test_a_secret_with_a_key_of_its_own_needs_the_key(
    local_account: LocalAccount, cluster: Cluster, role: Callable[..., str]
) -> None:
    key = local_account.client("kms").create_key()["KeyMetadata"]["Arn"]
    arn = local_account.client("secretsmanager").create_secret(
        Name=cluster.name, SecretString="hidden", KmsKeyId=key
    )["ARN"]
    read = {"Effect": "Allow", "Action": "secretsmanager:GetSecretValue", "Resource": arn}
    decrypt = {
        "Effect": "Allow",
        "Action": "kms:Decrypt",
        "Resource": f"arn:aws:kms:{PREFIX}:key/*",
        "Condition": {"StringEquals": {"kms:EncryptionContext:SecretARN": [arn]}},
    }
    secrets = {"secrets": [{"name": "A", "valueFrom": arn}]}
    reason = failed(cluster, role(own_logs(cluster), read), **secrets)
    assert f"kms:Decrypt on resource: {key} because" in reason
    execution = role(own_logs(cluster), read, decrypt)
    definition = cluster.register(
        cluster.container("echo $A") | secrets, executionRoleArn=execution
    )
    task = cluster.start(definition).wait_for("STOPPED")
    assert cluster.logs(task) == ["hidden"]


def test_log_streams_are_made_with_the_execution_role(
    local_account: LocalAccount, cluster: Cluster, role: Callable[..., str]
) -> None:
    reason = failed(cluster, role())
    assert reason.startswith(
        "ResourceInitializationError: failed to validate logger args: create stream has been "
        f"retried 1 times: failed to create Cloudwatch log stream: {DENIED}: User:"
    )
    assert (
        f"logs:CreateLogStream on resource: arn:aws:logs:{PREFIX}:log-group:{LOG_GROUP}:" in reason
    )
    # What the driver may not write is lost, and nobody is told.
    only_create = own_logs(cluster) | {"Action": "logs:CreateLogStream"}
    definition = cluster.register(cluster.container("echo x"), executionRoleArn=role(only_create))
    task = cluster.start(definition).wait_for("STOPPED")
    assert task.containers[0].exit_code == 0
    assert cluster.logs(task) == []


def test_images_are_pulled_with_the_execution_role(
    cluster: Cluster, role: Callable[..., str]
) -> None:
    image = "123456789012.dkr.ecr.us-east-1.amazonaws.com/plain"
    log_in = {"Effect": "Allow", "Action": "ecr:GetAuthorizationToken", "Resource": "*"}
    pull = {
        "Effect": "Allow",
        "Action": ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownload*"],
        "Resource": "arn:aws:ecr:us-east-1:123456789012:repository/plain",
    }
    reason = failed(cluster, role(own_logs(cluster), pull), image=image)
    assert reason.startswith("ResourceInitializationError: unable to pull secrets or registry auth")
    assert "ecr:GetAuthorizationToken on resource: * because" in reason
    reason = failed(cluster, role(own_logs(cluster), log_in), image=image)
    assert reason.startswith("CannotPullContainerError: pull image manifest has been retried")
    execution = role(own_logs(cluster), log_in, pull)
    definition = cluster.register(
        cluster.container("true") | {"image": image}, executionRoleArn=execution
    )
    task = cluster.start(definition).wait_for("STOPPED")
    assert task.containers[0].exit_code == 0


PROTECT = """
import json, os, time, urllib.error, urllib.request
url = os.environ["ECS_AGENT_URI"] + "/task-protection/v1/state"
request = urllib.request.Request(url, b'{"ProtectionEnabled": true}', method="PUT")
try:
    print(urllib.request.urlopen(request).read().decode(), flush=True)
except urllib.error.HTTPError as error:
    print(json.dumps({"status": error.code, **json.load(error)}), flush=True)
time.sleep(60)
"""


def test_the_agent_asks_with_the_task_s_role(cluster: Cluster, role: Callable[..., str]) -> None:
    may = {
        "Effect": "Allow",
        "Action": "ecs:UpdateTaskProtection",
        "Resource": f"arn:aws:ecs:{PREFIX}:task/{cluster.name}/*",
        "Condition": {"ArnEquals": {"ecs:cluster": f"arn:aws:ecs:{PREFIX}:cluster/{cluster.name}"}},
    }
    answers = []
    for number, task_role in enumerate((role(), "", role(may))):
        definition = cluster.register(
            cluster.container("") | {"command": ["python", "-c", PROTECT]},
            taskRoleArn=task_role,
        )
        cluster.create_service(definition, name=f"s{number}")
        eventually(lambda name=f"s{number}": bool(cluster.service_tasks(name)))  # type: ignore[misc]
        [task] = cluster.service_tasks(f"s{number}")
        task.wait_for("RUNNING")
        eventually(lambda task=task: cluster.logs(task) != [])  # type: ignore[misc]
        answers.append(json.loads(cluster.logs(task)[0]))
    refused, nobody, allowed = answers
    assert refused["status"] == 400
    assert refused["error"]["Code"] == DENIED
    assert "is not authorized to perform: ecs:UpdateTaskProtection" in refused["error"]["Message"]
    assert "no task IAM role credentials available" in nobody["error"]["Message"]
    assert allowed["protection"]["ProtectionEnabled"] is True
