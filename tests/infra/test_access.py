import json

import pytest

from infra import policy_statements
from infra.statement_builders import Statement, document
from tests.infra.program import POLICY, TAGS, changed, default, deployment, run


@pytest.mark.parametrize("location", ["sales", "research_lab"])
@pytest.mark.parametrize("actor", ["standing", "isolated", "execution"])
def test_a_role_per_actor_of_each_location(location: str, actor: str) -> None:
    name = f"run-isolation-prod-{location}-{actor}"
    statements = {
        "standing": policy_statements.standing(deployment(), location),
        "isolated": policy_statements.isolated(deployment(), location),
        "execution": policy_statements.execution(deployment(), location),
    }
    assert default().inputs("iam/role", f"{location}-{actor}") == {
        "name": name,
        "description": f"run-isolation: {actor} role of code location {location}",
        "assumeRolePolicy": document(policy_statements.trust(deployment())),
        "tags": {**TAGS, "run-isolation:code-location": location},
    }
    assert default().inputs("iam/rolePolicy", f"{location}-{actor}") == {
        "name": name,
        "role": name,
        "policy": document(statements[actor]),
    }


def test_tasks_use_the_roles_of_their_location_and_kind() -> None:
    for location in ("sales", "research_lab"):
        for kind in ("standing", "isolated"):
            inputs = default().inputs("ecs/taskDefinition", f"{location}-{kind}")
            assert inputs["taskRoleArn"] == f"arn:{location}-{kind}"
            assert inputs["executionRoleArn"] == f"arn:{location}-execution"


def test_the_users_policies_go_to_both_kinds_of_tasks_and_nobody_else() -> None:
    attached = {one.name: one.inputs for one in default().of("iam/rolePolicyAttachment")}
    assert attached == {
        f"research_lab-{kind}-{POLICY}": {
            "policyArn": POLICY,
            "role": f"run-isolation-prod-research_lab-{kind}",
        }
        for kind in ("standing", "isolated")
    }


@pytest.mark.parametrize(
    ("name", "statements"),
    [
        ("launcher", policy_statements.launcher(deployment())),
        ("launcher-roles", policy_statements.launcher_roles(deployment())),
    ],
)
def test_policies_for_webserver_and_daemon(name: str, statements: list[Statement]) -> None:
    assert default().inputs("iam/policy", name) == {
        "name": f"run-isolation-prod-{name}",
        "description": "run-isolation: for the roles of the Dagster webserver and daemon",
        "policy": document(statements),
        "tags": TAGS,
    }
    assert f"arn:{name}" in default().outputs["launcherPolicyArns"]


def test_no_policy_is_empty_without_code_locations() -> None:
    program = run(changed(codeLocations={}))
    assert [one.name for one in program.of("iam/policy")] == ["launcher"]
    for one in program.of("iam/policy"):
        for statement in json.loads(one.inputs["policy"])["Statement"]:
            assert statement["Resource"]
