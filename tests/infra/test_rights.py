"""What each role may and may not, decided as IAM decides; and that nothing in a policy is idle.

The text of the policies is held in test_policies.py. Here each is asked: with any statement or any
condition key taken away, at least one answer changes.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from infra import policy_statements
from infra.statement_builders import Statement, document
from localaws.iam import policy
from localaws.iam.evaluate import decide
from localaws.iam.policy import Request
from localaws.iam.principals import Principal
from tests.infra.program import ACCOUNT, DATABASE, REGION, TOKEN, changed, deployment

HERE = f"{REGION}:{ACCOUNT}"
ECS = f"arn:aws:ecs:{HERE}"
CLUSTER, OTHER_CLUSTER = f"{ECS}:cluster/run-isolation-prod", f"{ECS}:cluster/run-isolation-test"
TASK, OTHER_TASK = f"{ECS}:task/run-isolation-prod/1", f"{ECS}:task/run-isolation-test/1"
TABLE = f"arn:aws:dynamodb:{HERE}:table/run-isolation-prod-slots"
BUCKET = f"arn:aws:s3:::run-isolation-prod-compute-logs-{ACCOUNT}"
PARAMETER = f"arn:aws:ssm:{HERE}:parameter/team/token"
KEY = f"arn:aws:kms:{HERE}:key/1"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/run-isolation-prod"
GROUP = f"arn:aws:logs:{HERE}:log-group:/run-isolation"
TASKS = "ecs-tasks.amazonaws.com"
MANIFEST = f"arn:aws:ssm:{HERE}:parameter/run-isolation/prod/manifest"

WHO = Principal(
    f"arn:aws:sts::{ACCOUNT}:assumed-role/r/s", ACCOUNT, f"arn:aws:iam::{ACCOUNT}:role/r"
)


@dataclass(frozen=True)
class Case:
    """One request, and whether it is allowed."""

    allowed: bool
    action: str
    resource: str
    context: Mapping[str, Any]
    who: Principal = WHO


def yes(action: str, resource: str, **context: Any) -> Case:
    return Case(True, action, resource, {key.replace("__", ":"): v for key, v in context.items()})


def no(action: str, resource: str, **context: Any) -> Case:
    return Case(False, action, resource, {key.replace("__", ":"): v for key, v in context.items()})


IN, OUT = {"ecs__cluster": CLUSTER}, {"ecs__cluster": OTHER_CLUSTER}


HEALTH = "servicediscovery:GetInstancesHealthStatus"
NAME = f"arn:aws:servicediscovery:{HERE}:service/srv-1"


def tagged(deployment: str, location: str) -> dict[str, Any]:
    tags = {"deployment": deployment, "code-location": location}
    return {f"aws:ResourceTag/run-isolation:{key}": value for key, value in tags.items()}


def keys(*values: str) -> dict[str, Any]:
    return {"dynamodb__LeadingKeys": list(values)}


INSTANCE = [
    yes("ssm:GetParameter", MANIFEST),
    no("ssm:PutParameter", MANIFEST),
    no("ssm:GetParameter", f"{MANIFEST}2"),
    *(yes(f"s3:{verb}Object", f"{BUCKET}/a/b") for verb in ("Get", "Put", "Delete")),
    no("s3:GetObject", f"{BUCKET}2/a/b"),
    yes("s3:ListBucket", BUCKET),
    no("s3:DeleteBucket", BUCKET),
]
SECRET = [
    yes("secretsmanager:GetSecretValue", DATABASE),
    no("secretsmanager:GetSecretValue", f"{DATABASE}2"),
    no("secretsmanager:PutSecretValue", DATABASE),
    Case(True, "kms:Decrypt", KEY, {"kms:EncryptionContext:SecretARN": DATABASE}),
    Case(False, "kms:Decrypt", KEY, {"kms:EncryptionContext:SecretARN": f"{DATABASE}2"}),
    no("kms:Decrypt", KEY),
]


def isolated_revision(location: str) -> str:
    return f"{ECS}:task-definition/run-isolation-prod-{location}-isolated:7"


def sizes(cpu: int, memory: int) -> dict[str, Any]:
    return {"ecs__task_cpu": str(cpu), "ecs__task_memory": str(memory)}


def run(allowed: bool, location: str = "sales", **context: Any) -> Case:
    named = {key.replace("_", "-").replace("--", ":"): value for key, value in context.items()}
    return Case(allowed, "ecs:RunTask", isolated_revision(location), named)


NO_EXEC = {"ecs__enable_execute_command": "false"}
LAUNCHER = [
    run(True, **IN, **NO_EXEC),
    run(True, **IN),
    run(True, "research_lab", **IN, **NO_EXEC),
    run(False, **OUT, **NO_EXEC),
    run(False, "research_lab", **OUT, **NO_EXEC),
    run(False, **NO_EXEC),
    run(False, "finance", **IN, **NO_EXEC),
    run(False, **IN, ecs__enable_execute_command="true"),
    run(False, "research_lab", **IN, ecs__enable_execute_command="true"),
    run(True, **IN, **NO_EXEC, **sizes(16384, 122880)),
    run(True, "research_lab", **IN, **NO_EXEC, **sizes(8192, 61440)),
    run(False, "research_lab", **IN, **NO_EXEC, **sizes(16384, 61440)),
    run(False, "research_lab", **IN, **NO_EXEC, **sizes(8192, 65536)),
    run(False, **IN, **NO_EXEC, **sizes(32768, 122880)),
    run(False, **IN, **NO_EXEC, **sizes(16384, 245760)),
    no("ecs:RunTask", isolated_revision("sales").replace("isolated", "standing"), **IN),
    *(yes(f"ecs:{verb}", TASK, **IN) for verb in ("DescribeTasks", "StopTask")),
    *(no(f"ecs:{verb}", TASK, **OUT) for verb in ("DescribeTasks", "StopTask")),
    no("ecs:StopTask", OTHER_TASK, **IN),
    yes("ecs:ListTasks", "*", **IN),
    no("ecs:ListTasks", "*", **OUT),
    yes("ecs:TagResource", TASK, ecs__CreateAction="RunTask"),
    no("ecs:TagResource", TASK, ecs__CreateAction="CreateService"),
    no("ecs:TagResource", TASK),
    yes("dynamodb:GetItem", TABLE, **keys("settings")),
    yes("dynamodb:GetItem", TABLE, **keys("claim#1")),
    yes("dynamodb:UpdateItem", TABLE, **keys("slots")),
    no("dynamodb:UpdateItem", TABLE, **keys("settings")),
    no("dynamodb:UpdateItem", TABLE),
    no("dynamodb:GetItem", TABLE, **keys("other")),
    no("dynamodb:GetItem", TABLE, **keys("slots", "other")),
    no("dynamodb:GetItem", TABLE),
    no("dynamodb:Scan", TABLE),
    no("dynamodb:PutItem", TABLE, **keys("claim#1")),
    yes("logs:GetLogEvents", f"{GROUP}/prod/sales:log-stream:isolated/dagster/1"),
    no("logs:GetLogEvents", f"{GROUP}/test/sales:log-stream:isolated/dagster/1"),
    *INSTANCE,
    *SECRET,
]
PASS = [
    yes("iam:PassRole", f"{ROLE}-sales-isolated", iam__PassedToService=TASKS),
    yes("iam:PassRole", f"{ROLE}-research_lab-execution", iam__PassedToService=TASKS),
    no("iam:PassRole", f"{ROLE}-sales-standing", iam__PassedToService=TASKS),
    no("iam:PassRole", f"{ROLE}-sales-isolated", iam__PassedToService="lambda.amazonaws.com"),
    no("iam:PassRole", f"{ROLE}-sales-isolated"),
]
STANDING = [
    yes("dynamodb:GetItem", TABLE, **keys("settings")),
    no("dynamodb:GetItem", TABLE, **keys("claim#1")),
    no("dynamodb:GetItem", TABLE),
    yes("dynamodb:UpdateItem", TABLE, **keys("slots")),
    no("dynamodb:UpdateItem", TABLE, **keys("settings")),
    no("dynamodb:UpdateItem", TABLE),
    *(yes(f"ecs:{verb}", TASK, **IN) for verb in ("DescribeTasks", "UpdateTaskProtection")),
    *(no(f"ecs:{verb}", TASK, **OUT) for verb in ("DescribeTasks", "UpdateTaskProtection")),
    no("ecs:StopTask", TASK, **IN),
    yes("ecs:ListTasks", "*", **IN),
    no("ecs:ListTasks", "*", **OUT),
    yes("ecs:DescribeServices", f"{ECS}:service/run-isolation-prod/sales"),
    no("ecs:DescribeServices", f"{ECS}:service/run-isolation-prod/research_lab"),
    yes(HEALTH, NAME, **tagged("prod", "sales")),
    no(HEALTH, NAME, **tagged("prod", "research_lab")),
    no(HEALTH, NAME, **tagged("staging", "sales")),
    no(HEALTH, NAME),
    no("secretsmanager:GetSecretValue", DATABASE),
    *INSTANCE,
]
ISOLATED = [
    yes("dynamodb:PutItem", TABLE, **keys("claim#1")),
    no("dynamodb:PutItem", TABLE, **keys("slots")),
    no("dynamodb:PutItem", TABLE),
    no("dynamodb:UpdateItem", TABLE, **keys("claim#1")),
    no("ecs:DescribeTasks", TASK, **IN),
    *INSTANCE,
]
REPOSITORY = f"arn:aws:ecr:{HERE}:repository/team"
STREAM = f"{GROUP}/prod/sales:log-stream:isolated/dagster/1"
EXECUTION = [
    yes("ecr:GetAuthorizationToken", "*"),
    yes("ecr:BatchGetImage", f"{REPOSITORY}/sales"),
    no("ecr:BatchGetImage", f"{REPOSITORY}/other"),
    no("ecr:PutImage", f"{REPOSITORY}/sales"),
    *(yes(f"logs:{verb}", STREAM) for verb in ("CreateLogStream", "PutLogEvents")),
    no("logs:PutLogEvents", STREAM.replace("sales", "research_lab")),
    no("logs:GetLogEvents", STREAM),
    no("secretsmanager:GetSecretValue", TOKEN),
    *SECRET,
]
PARAMETERS = [
    yes("ssm:GetParameters", PARAMETER),
    no("ssm:GetParameters", f"{PARAMETER}2"),
    Case(True, "kms:Decrypt", KEY, {"kms:EncryptionContext:PARAMETER_ARN": PARAMETER}),
    Case(False, "kms:Decrypt", KEY, {"kms:EncryptionContext:PARAMETER_ARN": f"{PARAMETER}2"}),
    *SECRET,
    yes("logs:PutLogEvents", f"{GROUP}/prod/code:log-stream:a"),
]
SERVICE = Principal(service=TASKS)
FROM = {"aws:SourceArn": f"{TASK}", "aws:SourceAccount": ACCOUNT}
ELSEWHERE = f"arn:aws:ecs:us-west-2:{ACCOUNT}:task/c/1"
TRUST = [
    Case(True, "sts:AssumeRole", ROLE, FROM, SERVICE),
    Case(False, "sts:AssumeRole", ROLE, FROM),
    Case(False, "sts:AssumeRole", ROLE, FROM, Principal(service="ec2.amazonaws.com")),
    Case(False, "sts:AssumeRole", ROLE, {**FROM, "aws:SourceArn": ELSEWHERE}, SERVICE),
    Case(False, "sts:AssumeRole", ROLE, {**FROM, "aws:SourceAccount": "1" * 12}, SERVICE),
]
ROOT = Principal(f"arn:aws:iam::{ACCOUNT}:root", ACCOUNT)
TLS = [
    Case(True, "s3:GetObject", f"{BUCKET}/a", {"aws:SecureTransport": "true"}, ROOT),
    Case(False, "s3:GetObject", f"{BUCKET}/a", {"aws:SecureTransport": "false"}, ROOT),
    Case(False, "s3:ListBucket", BUCKET, {"aws:SecureTransport": "false"}, ROOT),
]

WITH_PARAMETER = changed(
    codeLocations={"code": {"image": "code:1", "module": "code", "secrets": {"TOKEN": PARAMETER}}}
)
POLICIES: dict[str, tuple[list[Statement], Sequence[Case]]] = {
    "launcher": (policy_statements.launcher(deployment()), LAUNCHER),
    "launcher-roles": (policy_statements.launcher_roles(deployment()), PASS),
    "standing": (policy_statements.standing(deployment(), "sales"), STANDING),
    "isolated": (policy_statements.isolated(deployment()), ISOLATED),
    "execution": (policy_statements.execution(deployment(), "sales"), EXECUTION),
    "parameters": (policy_statements.execution(deployment(WITH_PARAMETER), "code"), PARAMETERS),
    "trust": (policy_statements.trust(deployment()), TRUST),
    "bucket": (policy_statements.encrypted_transport(deployment(), BUCKET.rpartition(":")[2]), TLS),
}


def answers(statements: Sequence[Statement], cases: Sequence[Case]) -> list[bool]:
    """What IAM says to each case."""
    read = policy.parse("asked", document(statements)) if statements else None
    of_resource = any("Principal" in one for one in statements)
    found = []
    for case in cases:
        context = {key.lower(): value for key, value in case.context.items()}
        request = Request(case.action, case.resource, case.who, context)
        own, theirs = ([], read) if of_resource else ([read] if read else [], None)
        found.append(decide(request, own, theirs).allowed)
    return found


@pytest.mark.parametrize("name", POLICIES)
def test_each_role_may_what_it_needs_and_nothing_else(name: str) -> None:
    statements, cases = POLICIES[name]
    said = answers(statements, cases)
    wrong = [case for case, allowed in zip(cases, said, strict=True) if case.allowed != allowed]
    assert wrong == []


def mutants(statements: list[Statement]) -> Iterator[tuple[str, list[Statement]]]:
    """The policy with each statement, and each condition key, taken away in turn."""
    for number, statement in enumerate(statements):
        sid = statement.get("Sid", number)
        yield str(sid), statements[:number] + statements[number + 1 :]
        for operator, block in statement.get("Condition", {}).items():
            for key in block:
                changed_statements = copy.deepcopy(statements)
                condition = changed_statements[number]["Condition"]
                del condition[operator][key]
                if not condition[operator]:
                    del condition[operator]
                yield f"{sid}: {operator} {key}", changed_statements


MUTANTS = {
    f"{name}-{what}": (name, mutated)
    for name, (statements, _) in POLICIES.items()
    for what, mutated in mutants(statements)
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_nothing_in_a_policy_is_idle(mutant: str) -> None:
    name, mutated = MUTANTS[mutant]
    _, cases = POLICIES[name]
    assert answers(mutated, cases) != [case.allowed for case in cases]
