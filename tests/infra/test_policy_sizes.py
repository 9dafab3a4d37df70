"""Policies that IAM would refuse are refused at preview, by the key that makes them so."""

from infra import policy_sizes
from infra.config import Problem
from tests.infra.program import CONFIG, DATABASE, changed, deployment


def arns(count: int) -> dict[str, str]:
    return {f"V{n}": DATABASE.replace("dagster-db", f"team/secret-{n:03}") for n in range(count)}


def keys(count: int) -> dict[str, str]:
    return {f"V{n}": f"{DATABASE}:key{n}::" for n in range(count)}


def found(
    shared: dict[str, str] | None = None, own: dict[str, str] | None = None, count: int = 1
) -> list[Problem]:
    one = {"image": "code:1", "module": "code", "secrets": own or {}}
    locations = {"lab": one} if count == 1 else {f"long-name-of-{n:03}": one for n in range(count)}
    instance = {**CONFIG["run-isolation:instance"], "secrets": shared or {}}
    return policy_sizes.problems(deployment(changed(codeLocations=locations, instance=instance)))


def test_what_fits() -> None:
    assert policy_sizes.problems(deployment()) == []
    assert found(shared=arns(10), own=keys(100)) == []


def test_too_many_locations() -> None:
    [problem] = found(count=60)
    assert problem.key == "run-isolation:codeLocations"
    assert "6144 characters" in problem.allowed


def test_too_many_secrets_of_the_instance() -> None:
    [problem] = found(shared=arns(40))
    assert problem.key == "run-isolation:instance.secrets"
    assert problem.value.startswith("40 secrets, a policy of ")
    assert "<ARN of the secret>:<key>::" in problem.allowed
    assert problem.nearest is not None
    fitting = int(problem.nearest.split()[1])
    assert found(shared=arns(fitting)) == []
    assert found(shared=arns(fitting + 2)) != []


def test_too_many_secrets_of_a_location() -> None:
    [problem] = found(own=arns(90))
    assert problem.key == "run-isolation:codeLocations.lab.secrets"
    assert problem.nearest is not None
    fitting = int(problem.nearest.split()[1])
    assert found(own=arns(fitting)) == []
    assert found(own=arns(fitting + 2)) != []
