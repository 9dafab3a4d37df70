import copy
import re
from typing import Any

import pytest

from infra import policy_statements
from infra.deployment import Deployment
from infra.statement_builders import Statement, document
from tests.infra.program import ACCOUNT, CONFIG, DATABASE, REGION, TOKEN, changed, deployment

OTHER = DATABASE.replace("dagster-db", "other")
HERE = f"{REGION}:{ACCOUNT}"
CLUSTER = f"arn:aws:ecs:{HERE}:cluster/run-isolation-prod"
TASKS = f"arn:aws:ecs:{HERE}:task/run-isolation-prod/*"
NAMES = f"arn:aws:servicediscovery:{HERE}:service/*"
TABLE = f"arn:aws:dynamodb:{HERE}:table/run-isolation-prod-slots"
BUCKET = f"arn:aws:s3:::run-isolation-prod-compute-logs-{ACCOUNT}"

ON_CLUSTER = {"ArnEquals": {"ecs:cluster": CLUSTER}}


def on_items(action: str, *keys: str) -> dict[str, Any]:
    return {
        "Action": [f"dynamodb:{action}"],
        "Resource": TABLE,
        "Condition": {
            "ForAllValues:StringLike": {"dynamodb:LeadingKeys": list(keys)},
            "Null": {"dynamodb:LeadingKeys": "false"},
        },
    }


OUTPUTS = {
    "Outputs": {
        "Action": ["s3:GetObject", "s3:PutObject", "s3:AbortMultipartUpload"],
        "Resource": f"arn:aws:s3:::run-isolation-prod-outputs-{ACCOUNT}/prod/*",
    },
    "ListOutputs": {
        "Action": ["s3:ListBucket"],
        "Resource": f"arn:aws:s3:::run-isolation-prod-outputs-{ACCOUNT}",
    },
}


INSTANCE = {
    "ReadManifest": {
        "Action": ["ssm:GetParameter"],
        "Resource": f"arn:aws:ssm:{HERE}:parameter/run-isolation/prod/manifest",
    },
    "ComputeLogs": {
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": f"{BUCKET}/*",
    },
    "ListComputeLogs": {"Action": ["s3:ListBucket"], "Resource": BUCKET},
}


def secrets(*arns: str) -> dict[str, Any]:
    return {
        "ReadSecrets": {"Action": ["secretsmanager:GetSecretValue"], "Resource": list(arns)},
        "DecryptSecrets": {
            "Action": ["kms:Decrypt"],
            "Resource": f"arn:aws:kms:{HERE}:key/*",
            "Condition": {"StringEquals": {"kms:EncryptionContext:SecretARN": list(arns)}},
        },
    }


def by_sid(statements: list[Statement]) -> dict[str, Any]:
    """Statements by Sid, after a look at what all have in common."""
    found: dict[str, Any] = {}
    for statement in copy.deepcopy(statements):
        assert statement.pop("Effect") == "Allow"
        sid = statement.pop("Sid")
        assert re.fullmatch("[A-Za-z0-9]+", sid)
        assert sid not in found
        found[sid] = statement
    return found


def test_standing_container() -> None:
    assert by_sid(policy_statements.standing(deployment(), "sales")) == {
        "FreeSlots": on_items("UpdateItem", "slots"),
        "ProtectTask": {
            "Action": ["ecs:UpdateTaskProtection"],
            "Resource": TASKS,
            "Condition": ON_CLUSTER,
        },
        "SeeRedeploys": {
            "Action": ["ecs:DescribeServices"],
            "Resource": f"arn:aws:ecs:{HERE}:service/run-isolation-prod/sales",
        },
        "SeeTasks": {"Action": ["ecs:DescribeTasks"], "Resource": TASKS, "Condition": ON_CLUSTER},
        "ListTasks": {"Action": ["ecs:ListTasks"], "Resource": "*", "Condition": ON_CLUSTER},
        "SeeNames": {
            "Action": ["servicediscovery:GetInstancesHealthStatus"],
            "Resource": NAMES,
            "Condition": {
                "StringEquals": {
                    "aws:ResourceTag/run-isolation:deployment": "prod",
                    "aws:ResourceTag/run-isolation:code-location": "sales",
                }
            },
        },
        "ReadInstance": on_items("GetItem", "instance#*"),
        **INSTANCE,
        **OUTPUTS,
        **secrets(DATABASE),
    }


def test_isolated_task() -> None:
    assert by_sid(policy_statements.isolated(deployment(), "sales")) == {
        "ClaimRun": on_items("PutItem", "claim#*"),
        "ReadInstance": on_items("GetItem", "instance#*"),
        **INSTANCE,
        **OUTPUTS,
        **secrets(DATABASE),
    }


def test_execution_with_an_image_in_ecr() -> None:
    assert by_sid(policy_statements.execution(deployment(), "sales")) == {
        "LogInToEcr": {"Action": ["ecr:GetAuthorizationToken"], "Resource": "*"},
        "PullImage": {
            "Action": [
                "ecr:BatchCheckLayerAvailability",
                "ecr:BatchGetImage",
                "ecr:GetDownloadUrlForLayer",
            ],
            "Resource": f"arn:aws:ecr:{HERE}:repository/team/sales",
        },
        "WriteLogs": {
            "Action": ["logs:CreateLogStream", "logs:PutLogEvents"],
            "Resource": f"arn:aws:logs:{HERE}:log-group:/run-isolation/prod/sales:log-stream:*",
        },
        **secrets(DATABASE),
    }


def test_execution_with_secrets_and_another_registry() -> None:
    statements = by_sid(policy_statements.execution(deployment(), "research_lab"))
    assert statements.keys() == {"WriteLogs", "ReadSecrets", "DecryptSecrets"}
    assert statements.items() >= secrets(DATABASE, TOKEN).items()


def test_execution_with_an_ssm_parameter() -> None:
    parameter = f"arn:aws:ssm:{HERE}:parameter/team/token"
    location = {"image": "code:1", "module": "code", "secrets": {"TOKEN": parameter}}
    config = changed(codeLocations={"code": location})
    statements = by_sid(policy_statements.execution(deployment(config), "code"))
    assert statements["ReadParameters"] == {
        "Action": ["ssm:GetParameters"],
        "Resource": [parameter],
    }
    assert statements["DecryptParameters"]["Condition"] == {
        "StringEquals": {"kms:EncryptionContext:PARAMETER_ARN": [parameter]}
    }


def run_tasks(cpu: int, memory: int, *locations: str) -> dict[str, Any]:
    families = [f"run-isolation-prod-{location}-isolated" for location in locations]
    return {
        "Action": ["ecs:RunTask"],
        "Resource": [f"arn:aws:ecs:{HERE}:task-definition/{family}:*" for family in families],
        "Condition": {
            **ON_CLUSTER,
            "NumericLessThanEqualsIfExists": {
                "ecs:task-cpu": str(cpu),
                "ecs:task-memory": str(memory),
            },
            "StringEqualsIfExists": {"ecs:enable-execute-command": "false"},
        },
    }


def test_launcher() -> None:
    assert by_sid(policy_statements.launcher(deployment())) == {
        "RunTasks16384Cpu122880MiB": run_tasks(16384, 122880, "sales"),
        "RunTasks8192Cpu61440MiB": run_tasks(8192, 61440, "research_lab"),
        "WatchTasks": {
            "Action": ["ecs:DescribeTasks", "ecs:StopTask"],
            "Resource": TASKS,
            "Condition": ON_CLUSTER,
        },
        "ListTasks": {"Action": ["ecs:ListTasks"], "Resource": "*", "Condition": ON_CLUSTER},
        "TagTasks": {
            "Action": ["ecs:TagResource"],
            "Resource": TASKS,
            "Condition": {"StringEquals": {"ecs:CreateAction": "RunTask"}},
        },
        "ReadTable": on_items("GetItem", "settings", "slots", "claim#*", "instance#*"),
        "TakeSlots": on_items("UpdateItem", "slots"),
        "ReadLogs": {
            "Action": ["logs:GetLogEvents"],
            "Resource": f"arn:aws:logs:{HERE}:log-group:/run-isolation/prod/*",
        },
        **INSTANCE,
        **secrets(DATABASE),
    }


def test_locations_of_one_largest_size_share_a_statement() -> None:
    config = copy.deepcopy(CONFIG)
    locations = config["run-isolation:codeLocations"]
    locations["another"] = locations["sales"]
    statements = by_sid(policy_statements.launcher(deployment(config)))
    assert statements["RunTasks16384Cpu122880MiB"] == run_tasks(16384, 122880, "another", "sales")


def test_launcher_passes_roles_of_isolated_tasks_to_ecs_only() -> None:
    roles = [
        f"arn:aws:iam::{ACCOUNT}:role/run-isolation-prod-{location}-{actor}"
        for location in ("research_lab", "sales")
        for actor in ("execution", "isolated")
    ]
    assert by_sid(policy_statements.launcher_roles(deployment())) == {
        "PassRoles": {
            "Action": ["iam:PassRole"],
            "Resource": roles,
            "Condition": {"StringEquals": {"iam:PassedToService": "ecs-tasks.amazonaws.com"}},
        }
    }


def test_only_ecs_takes_on_the_roles_and_only_for_this_account() -> None:
    assert policy_statements.trust(deployment()) == [
        {
            "Effect": "Allow",
            "Principal": {"Service": "ecs-tasks.amazonaws.com"},
            "Action": "sts:AssumeRole",
            "Condition": {
                "ArnLike": {"aws:SourceArn": f"arn:aws:ecs:{HERE}:*"},
                "StringEquals": {"aws:SourceAccount": ACCOUNT},
            },
        }
    ]


WILDCARDS = {
    ("ComputeLogs", f"{BUCKET}/*"): "keys are named after runs",
    ("DecryptParameters", f"arn:aws:kms:{HERE}:key/*"): "key unknown; secrets in the condition",
    ("DecryptSecrets", f"arn:aws:kms:{HERE}:key/*"): "key unknown; secrets in the condition",
    ("ListTasks", "*"): "has no resource for a cluster; cluster in the condition",
    ("LogInToEcr", "*"): "the only resource that the action has",
    (
        "Outputs",
        f"arn:aws:s3:::run-isolation-prod-outputs-{ACCOUNT}/prod/*",
    ): "keys are named after assets and runs",
    ("ProtectTask", TASKS): "tasks have no ids before they run",
    ("ReadLogs", f"arn:aws:logs:{HERE}:log-group:/run-isolation/prod/*"): "all of the deployment",
    ("SeeNames", NAMES): "Cloud Map makes the ids; the location's tags in the condition",
    ("SeeTasks", TASKS): "tasks have no ids before they run",
    ("TagTasks", TASKS): "tasks have no ids before they run",
    ("WatchTasks", TASKS): "tasks have no ids before they run",
}
"""Every wildcard but those of a revision or of a log stream, with its reason."""


def all_statements() -> list[Statement]:
    made = deployment()
    return [
        *policy_statements.launcher(made),
        *policy_statements.launcher_roles(made),
        *policy_statements.isolated(made, "sales"),
        *(
            one
            for name in made.config.code_locations
            for one in policy_statements.standing(made, name)
        ),
        *(
            one
            for name in made.config.code_locations
            for one in policy_statements.execution(made, name)
        ),
    ]


def test_each_wildcard_has_its_reason() -> None:
    for statement in all_statements():
        resources = statement["Resource"]
        for resource in [resources] if isinstance(resources, str) else resources:
            exact = re.sub(r":log-stream:\*$|(?<=-isolated):\*$", "", resource)
            assert "*" not in exact or (statement["Sid"], resource) in WILDCARDS
        assert not any("*" in action for action in statement["Action"])


def test_policies_are_the_same_text_each_time() -> None:
    first, second = (document(policy_statements.launcher(deployment())) for _ in range(2))
    assert first == second
    assert ": " not in first


@pytest.mark.parametrize("bucket", ["create", "mine"])
def test_without_compute_logs_nobody_touches_s3(bucket: str) -> None:
    instance = {"databaseUrlSecretArn": DATABASE, "computeLogsBucket": bucket}
    with_bucket = by_sid(
        policy_statements.isolated(deployment(changed(instance=instance)), "sales")
    )
    without = changed(instance={"databaseUrlSecretArn": DATABASE})
    others = by_sid(policy_statements.isolated(deployment(without), "sales")).keys()
    assert with_bucket.keys() - others == {"ComputeLogs", "ListComputeLogs"}


def with_instance(**instance: Any) -> Deployment:
    return deployment(changed(instance=instance))


def test_secrets_of_the_instance_are_read_by_who_needs_them() -> None:
    made = with_instance(databaseUrlSecretArn=DATABASE, secrets={"A": TOKEN, "TOKEN": OTHER})
    arns = [DATABASE, TOKEN]
    assert (
        by_sid(policy_statements.launcher(made)).items() >= secrets(DATABASE, OTHER, TOKEN).items()
    )
    # The location has a TOKEN of its own, which goes before it.
    lab = by_sid(policy_statements.execution(made, "research_lab"))
    assert lab["ReadSecrets"]["Resource"] == arns
    assert by_sid(policy_statements.isolated(made, "sales")).items() >= secrets(DATABASE).items()


@pytest.mark.parametrize(
    ("resource", "arn"), [(None, "dbuser:*/me"), ("cluster-ABC", "dbuser:cluster-ABC/me")]
)
def test_a_token_is_for_one_user(resource: str | None, arn: str) -> None:
    database = {"host": "db", "name": "dagster", "user": "me", "iamAuthentication": True}
    made = with_instance(database={**database, **({"resourceId": resource} if resource else {})})
    for statements in (
        policy_statements.launcher(made),
        policy_statements.standing(made, "sales"),
        policy_statements.isolated(made, "sales"),
    ):
        found = by_sid(statements)
        assert found["ConnectToDatabase"] == {
            "Action": ["rds-db:connect"],
            "Resource": f"arn:aws:rds-db:{HERE}:{arn}",
        }
        assert "ReadSecrets" not in found
    assert "ConnectToDatabase" not in by_sid(policy_statements.execution(made, "sales"))


def test_a_locations_own_bucket_is_its_own() -> None:
    sales = {"image": "sales:1", "module": "sales", "io": "of-sales"}
    lab = {"image": "lab:1", "module": "lab"}
    made = deployment(changed(codeLocations={"sales": sales, "lab": lab}))
    assert by_sid(policy_statements.standing(made, "sales"))["Outputs"]["Resource"] == (
        "arn:aws:s3:::of-sales/prod/*"
    )
    assert by_sid(policy_statements.standing(made, "lab"))["Outputs"] == OUTPUTS["Outputs"]
