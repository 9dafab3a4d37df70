import pytest

from tests.infra.program import TAGS, default


def named(name: str) -> dict[str, str]:
    return {**TAGS, "Name": f"run-isolation-prod-{name}"}


@pytest.mark.parametrize(
    ("name", "description"),
    [
        ("clients", "run-isolation: clients of code servers: webserver and daemon"),
        ("standing", "run-isolation: standing containers of code locations"),
        ("isolated", "run-isolation: tasks of isolated runs"),
    ],
)
def test_groups_hold_no_rules_themselves(name: str, description: str) -> None:
    assert default().inputs("ec2/securityGroup", name) == {
        "name": f"run-isolation-prod-{name}",
        "description": description,
        "vpcId": "vpc-id",
        "tags": named(name),
    }


def test_the_one_way_in_is_from_clients_to_code_servers() -> None:
    [rule] = default().of("vpc/securityGroupIngressRule")
    assert rule.inputs == {
        "securityGroupId": "standing-id",
        "referencedSecurityGroupId": "clients-id",
        "ipProtocol": "tcp",
        "fromPort": 4000,
        "toPort": 4001,
        "description": "gRPC of code servers",
        "tags": named("standing-from-clients"),
    }


def test_what_may_leave_is_explicit() -> None:
    program = default()
    assert program.inputs("vpc/securityGroupEgressRule", "clients-to-standing") == {
        "securityGroupId": "clients-id",
        "referencedSecurityGroupId": "standing-id",
        "ipProtocol": "tcp",
        "fromPort": 4000,
        "toPort": 4001,
        "description": "gRPC of code servers",
        "tags": named("clients-to-standing"),
    }
    for kind in ("standing", "isolated"):
        assert program.inputs("vpc/securityGroupEgressRule", f"{kind}-to-anywhere") == {
            "securityGroupId": f"{kind}-id",
            "cidrIpv4": "0.0.0.0/0",
            "ipProtocol": "-1",
            "description": "whatever the code of the user needs",
            "tags": named(f"{kind}-to-anywhere"),
        }
    assert len(program.of("vpc/securityGroupEgressRule")) == 3


def test_the_group_for_webserver_and_daemon_is_an_output() -> None:
    assert default().outputs["clientSecurityGroup"] == "clients-id"
