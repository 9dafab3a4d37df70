"""What is asked of the granted policies: the record, what must be refused, and what e2e lacks.

Texts have the record's placeholders, and `{other}` for another code location of the deployment;
each request is asked for each code location.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from localaws.iam.needs.ecs import TASKS
from localaws.iam.principals import Principal
from tests.infra.program import ACCOUNT, DATABASE, REGION
from tests.rights import record
from tests.rights.granted import LOCATIONS, PARAMETER, largest

_HERE: Final = f"{REGION}:{ACCOUNT}"
ROOT: Final = "root"
_ELSEWHERE: Final = "elsewhere"
"""A service that is not ECS."""


@dataclass(frozen=True)
class Asked:
    """One request, and whether it is to be allowed.

    Attributes:
        actor: As in the record; or ROOT.
        action: The action.
        resource: Its ARN.
        context: Condition keys, in lower case.
        allowed: Whether IAM should say yes.
        only: The one code location that it is asked for; empty for each.
    """

    actor: str
    action: str
    resource: str
    context: Mapping[str, str | Sequence[str]]
    allowed: bool
    only: str = ""

    def at(self, location: str) -> Asked:
        """The request of a code location, in a deployment's own names."""
        names = _names(location)
        context = {
            _filled(key, names): [_filled(one, names) for one in record.as_values(values)]
            for key, values in self.context.items()
        }
        return Asked(
            self.actor,
            self.action,
            _filled(self.resource, names),
            {
                key: one if len(one) > 1 or _multiple(key) else one[0]
                for key, one in context.items()
            },
            self.allowed,
        )

    def principal(self, location: str) -> Principal:
        """Who asks."""
        account = f"arn:aws:iam::{ACCOUNT}"
        if self.actor == ROOT:
            return Principal(f"{account}:root", ACCOUNT)
        if self.actor in (record.ECS, _ELSEWHERE):
            return Principal(service=TASKS if self.actor == record.ECS else "ec2.amazonaws.com")
        name = f"run-isolation-prod-{location}-{self.actor}"
        role = "control-plane" if self.actor == record.LAUNCHER else name
        session = f"arn:aws:sts::{ACCOUNT}:assumed-role/{role}/s"
        return Principal(session, ACCOUNT, f"{account}:role/{role}")


def _multiple(key: str) -> bool:
    """Whether a key may have several values: those can't do without a quantifier."""
    return key in ("dynamodb:leadingkeys", "dynamodb:attributes", "kms:encryptioncontextkeys")


def _names(location: str) -> Mapping[str, str]:
    cpu, memory = largest(location)
    return {
        "stack": "prod",
        "region": REGION,
        "account": ACCOUNT,
        "database": DATABASE,
        "location": location,
        "other": LOCATIONS[LOCATIONS.index(location) - 1],
        "cpu": str(cpu),
        "memory": str(memory),
        "more_cpu": str(cpu * 2),
        "more_memory": str(memory * 2),
    }


def _filled(text: str, names: Mapping[str, str]) -> str:
    # Those that are not names of ours, such as {id}, are ids as good as any.
    return re.sub(r"\{(\w+)\}", lambda found: names.get(found[1], found[1]), text)


def recorded() -> list[Asked]:
    """What an end-to-end run asked for."""
    return [
        Asked(one.actor, one.action, one.resource, dict(one.context), allowed=bool(one.by))
        for one in record.read()
    ]


_ECS = "arn:aws:ecs:{region}:{account}:"
_CLUSTER, _OTHER_CLUSTER = (f"{_ECS}cluster/run-isolation-{one}" for one in ("{stack}", "test"))
_TASK, _OTHER_TASK = (f"{_ECS}task/run-isolation-{one}/{{id}}" for one in ("{stack}", "test"))
_REVISION = f"{_ECS}task-definition/run-isolation-{{stack}}-{{location}}-isolated:7"
_TABLE = "arn:aws:dynamodb:{region}:{account}:table/run-isolation-{stack}-slots"
_BUCKET = "arn:aws:s3:::run-isolation-{stack}-compute-logs-{account}"
_OUTPUTS = "arn:aws:s3:::run-isolation-{stack}-outputs-{account}"
_MANIFEST = "arn:aws:ssm:{region}:{account}:parameter/run-isolation/{stack}/manifest"
_ROLE = "arn:aws:iam::{account}:role/run-isolation-{stack}-{location}"
_LOGS = "arn:aws:logs:{region}:{account}:log-group:/run-isolation"
_STREAM = f"{_LOGS}/{{stack}}/{{location}}:log-stream:isolated/dagster/{{id}}"
_KEY = "arn:aws:kms:{region}:{account}:key/1"
_SECRET_KEY, _PARAMETER_KEY = (
    f"kms:encryptioncontext:{word}" for word in ("secretarn", "parameter_arn")
)
_IN, _OUT = {"ecs:cluster": _CLUSTER}, {"ecs:cluster": _OTHER_CLUSTER}
_KINDS = ("standing", "isolated", "execution")


def _no(actor: str, action: str, resource: str, context: Mapping[str, Any] | None = None) -> Asked:
    return Asked(actor, action, resource, context or {}, allowed=False)


def _yes(
    actor: str, action: str, resource: str, context: Mapping[str, Any] | None = None, only: str = ""
) -> Asked:
    return Asked(actor, action, resource, context or {}, allowed=True, only=only)


def _keys(*keys: str) -> dict[str, Any]:
    return {"dynamodb:leadingkeys": keys}


def _refused_launches() -> Iterator[Asked]:
    """Other deployments', locations' and families', without a cluster, with exec, or larger."""
    plain = {**_IN, "ecs:enable-execute-command": "false"}
    for context in (
        {**plain, **_OUT},
        {"ecs:enable-execute-command": "false"},
        {**_IN, "ecs:enable-execute-command": "true"},
        {**plain, "ecs:task-cpu": "{more_cpu}", "ecs:task-memory": "{memory}"},
        {**plain, "ecs:task-cpu": "{cpu}", "ecs:task-memory": "{more_memory}"},
    ):
        yield _no(record.LAUNCHER, "ecs:RunTask", _REVISION, context)
    for changed in (
        _REVISION.replace("{location}", "finance"),
        _REVISION.replace("{stack}", "test"),
        _REVISION.replace("-isolated", "-standing"),
    ):
        yield _no(record.LAUNCHER, "ecs:RunTask", changed, plain)
    services: tuple[dict[str, str], ...] = ({"iam:passedtoservice": "lambda.amazonaws.com"}, {})
    for context in services:
        yield _no(record.LAUNCHER, "iam:PassRole", f"{_ROLE}-isolated", context)
    to_tasks = {"iam:passedtoservice": TASKS}
    for role in (f"{_ROLE}-standing", f"{_ROLE}-isolated".replace("{stack}", "test")):
        yield _no(record.LAUNCHER, "iam:PassRole", role, to_tasks)
    yield from (
        _no(record.LAUNCHER, "ecs:TagResource", _TASK, context)
        for context in ({"ecs:createaction": "CreateService"}, {})
    )


def _refused_items() -> Iterator[Asked]:
    """Other keys, keys of others beside one's own, and none."""
    for actor, action, keys in (
        (record.LAUNCHER, "GetItem", (_keys("other"), _keys("slots", "other"), {})),
        (record.LAUNCHER, "UpdateItem", (_keys("settings"), _keys("claim#1"), {})),
        (record.LAUNCHER, "PutItem", (_keys("claim#1"),)),
        (record.LAUNCHER, "Scan", ({},)),
        ("standing", "GetItem", (_keys("slots"), _keys("claim#1"), {})),
        ("standing", "UpdateItem", (_keys("settings"), _keys("claim#1"), {})),
        ("standing", "PutItem", (_keys("instance#1"),)),
        (
            "isolated",
            "GetItem",
            (_keys("slots"), _keys("claim#1"), _keys("instance#1", "slots"), {}),
        ),
        ("isolated", "PutItem", (_keys("slots"), _keys("settings"), _keys("instance#1"), {})),
        ("isolated", "UpdateItem", (_keys("claim#1"),)),
    ):
        yield from (_no(actor, f"dynamodb:{action}", _TABLE, one) for one in keys)
    for attribute in ("max_holders", "location_limits", "in:{other}", "anything"):
        context = {**_keys("slots"), "dynamodb:attributes": ("pk", "holders", attribute)}
        yield _no("standing", "dynamodb:UpdateItem", _TABLE, context)


def _refused_tasks() -> Iterator[Asked]:
    """Tasks of another deployment, by their ARN or by their cluster."""
    for actor, *actions in (
        (record.LAUNCHER, "DescribeTasks", "StopTask"),
        ("standing", "DescribeTasks", "UpdateTaskProtection"),
    ):
        for action in actions:
            yield _no(actor, f"ecs:{action}", _OTHER_TASK, _IN)
            yield _no(actor, f"ecs:{action}", _TASK, _OUT)
        yield _no(actor, "ecs:ListTasks", "*", _OUT)
    yield _no("standing", "ecs:StopTask", _TASK, _IN)
    yield _no("isolated", "ecs:DescribeTasks", _TASK, _IN)
    service = f"{_ECS}service/run-isolation-{{stack}}/{{other}}"
    yield _no("standing", "ecs:DescribeServices", service, _IN)


def _refused_secrets() -> Iterator[Asked]:
    """Secrets and parameters of others, and their keys."""
    for actor in (record.LAUNCHER, *_KINDS):
        yield _no(actor, "secretsmanager:GetSecretValue", f"{DATABASE}2")
        yield _no(actor, "secretsmanager:PutSecretValue", DATABASE)
        yield from (
            _no(actor, "kms:Decrypt", _KEY, context)
            for context in ({_SECRET_KEY: f"{DATABASE}2"}, {_PARAMETER_KEY: f"{PARAMETER}2"}, {})
        )
    yield _no("execution", "ssm:GetParameters", f"{PARAMETER}2")
    for actor in ("standing", "isolated"):
        yield _no(actor, "ssm:PutParameter", _MANIFEST)


def _refused_logs() -> Iterator[Asked]:
    """Logs of other locations and deployments, and images of others."""
    yield _no("execution", "logs:PutLogEvents", _STREAM.replace("{location}", "{other}"))
    yield _no("execution", "logs:GetLogEvents", _STREAM)
    yield _no(record.LAUNCHER, "logs:GetLogEvents", _STREAM.replace("{stack}", "test"))
    image = f"arn:aws:ecr:{_HERE}:repository/team"
    yield _no("execution", "ecr:BatchGetImage", f"{image}/other")
    yield _no("execution", "ecr:PutImage", f"{image}/sales")
    for actor in (record.LAUNCHER, "standing", "isolated"):
        yield _no(actor, "s3:GetObject", f"{_BUCKET}2/a/b")
        yield _no(actor, "s3:DeleteObject", f"{_BUCKET}/a/b")
        yield _no(actor, "s3:DeleteBucket", _BUCKET)
        yield _no(actor, "ssm:GetParameter", f"{_MANIFEST}2")
    for actor, action, resource in (
        (ROOT, "s3:GetObject", f"{_BUCKET}/a"),
        (ROOT, "s3:GetObject", f"{_OUTPUTS}/a"),
        (ROOT, "s3:ListBucket", _OUTPUTS),
        (ROOT, "s3:ListBucket", _BUCKET),
        (record.LAUNCHER, "s3:GetObject", f"{_BUCKET}/a"),
    ):
        yield _no(actor, action, resource, {"aws:securetransport": "false"})


def _refused_outputs() -> Iterator[Asked]:
    """Outputs of other deployments, all of them for the launcher, and deletion."""
    for actor in ("standing", "isolated"):
        yield _no(actor, "s3:GetObject", f"{_OUTPUTS}/test/a")
        yield _no(actor, "s3:GetObject", f"{_OUTPUTS}2/{{stack}}/a")
        yield _no(actor, "s3:DeleteObject", f"{_OUTPUTS}/{{stack}}/a")
    yield _no(record.LAUNCHER, "s3:GetObject", f"{_OUTPUTS}/{{stack}}/a")
    yield _no(record.LAUNCHER, "s3:ListBucket", _OUTPUTS)


def _refused_trust() -> Iterator[Asked]:
    """Whoever is not ECS, and ECS for tasks of other regions and accounts."""
    task = {"aws:sourcearn": _TASK, "aws:sourceaccount": "{account}"}
    for kind in _KINDS:
        for actor, context in (
            ("standing", task),
            (_ELSEWHERE, task),
            (record.ECS, {**task, "aws:sourceaccount": "1" * 12}),
            (record.ECS, {**task, "aws:sourcearn": _TASK.replace("{region}", "us-west-2")}),
        ):
            yield _no(actor, "sts:AssumeRole", f"{_ROLE}-{kind}", context)


def _refused_names() -> Iterator[Asked]:
    """Health of the names of others, whose services' ids Cloud Map has made."""
    service = "arn:aws:servicediscovery:{region}:{account}:service/{id}"
    for stack, location in (("{stack}", "{other}"), ("test", "{location}")):
        tags = {"deployment": stack, "code-location": location}
        context = {f"aws:resourcetag/run-isolation:{key}": value for key, value in tags.items()}
        yield _no("standing", "servicediscovery:GetInstancesHealthStatus", service, context)


REFUSED: Final = (
    *_refused_launches(),
    *_refused_items(),
    *_refused_tasks(),
    *_refused_secrets(),
    *_refused_logs(),
    *_refused_outputs(),
    *_refused_names(),
    *_refused_trust(),
)
"""What nobody may have."""

LARGEST: Final = _yes(
    record.LAUNCHER,
    "ecs:RunTask",
    _REVISION,
    {**_IN, "ecs:task-cpu": "{cpu}", "ecs:task-memory": "{memory}"},
)
"""The largest run of a code location."""

_IMAGE = f"arn:aws:ecr:{_HERE}:repository/team/sales"
_PULL = ("BatchCheckLayerAvailability", "BatchGetImage", "GetDownloadUrlForLayer")
_OF_TASKS = ("standing", "isolated")
BESIDE: Final = (
    _yes("isolated", "ssm:GetParameter", _MANIFEST),
    *(_yes(one, "kms:Decrypt", _KEY, {_SECRET_KEY: DATABASE}) for one in _OF_TASKS),
    *(_yes(one, "s3:ListBucket", _OUTPUTS) for one in _OF_TASKS),
    *(_yes(one, "s3:AbortMultipartUpload", f"{_OUTPUTS}/{{stack}}/a") for one in _OF_TASKS),
    _yes(record.LAUNCHER, "kms:Decrypt", _KEY, {_SECRET_KEY: DATABASE}),
    _yes(record.LAUNCHER, "s3:PutObject", f"{_BUCKET}/{{key}}"),
    _yes("execution", "kms:Decrypt", _KEY, {_SECRET_KEY: DATABASE}),
    _yes("execution", "ecr:GetAuthorizationToken", "*", only="sales"),
    *(_yes("execution", f"ecr:{verb}", _IMAGE, only="sales") for verb in _PULL),
    _yes("execution", "ssm:GetParameters", PARAMETER, only="code"),
    _yes("execution", "kms:Decrypt", _KEY, {_PARAMETER_KEY: PARAMETER}, only="code"),
)
"""What no end-to-end test asks for: the uses of `reasons.UNUSED`."""
