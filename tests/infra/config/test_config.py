from typing import Any

import pytest

from infra.config import Config, ConfigError, parse
from tests.infra.config.refusals import problems, texts
from tests.infra.program import ACCOUNT, CONFIG, DATABASE, changed

Case = tuple[dict[str, Any], str, str, str, str | None]


def location(**keys: Any) -> dict[str, Any]:
    """A config with one code location, `sales`, that has these keys besides what it must have."""
    sales = {"image": "sales:1", "module": "sales.defs", **keys}
    return changed(codeLocations={"sales": {k: v for k, v in sales.items() if v is not None}})


def named(name: str) -> dict[str, Any]:
    return changed(codeLocations={name: {"image": "sales:1", "module": "sales.defs"}})


def slots(**keys: Any) -> dict[str, Any]:
    return changed(deploymentSettings={"non_isolated_runs": keys})


SALES = "codeLocations.sales"
SUBNET = "subnet-0123456789abcdef0"
VPC = "vpc-0123456789abcdef0"
LIMIT = "deploymentSettings.non_isolated_runs.max_concurrent_non_isolated_runs"

BAD: list[Case] = [
    # config, key, value, a part of what is allowed, nearest
    (changed(logRetentionDay=3), "logRetentionDay", "3", "logRetentionDays", "logRetentionDays"),
    (changed(codeLocations=None), "codeLocations", "(missing)", "code locations by name", None),
    (changed(codeLocations=[]), "codeLocations", "[]", "a mapping", None),
    (changed(instance=None), "instance", "(missing)", "databaseUrlSecretArn", None),
    (changed(logRetentionDays=31), "logRetentionDays", "31", "one of 1, 3, 5, 7, 14, 30", "30"),
    (changed(logRetentionDays="long"), "logRetentionDays", "long", "a whole number", None),
    (changed(protect="yes"), "protect", "yes", "true or false", None),
    (changed(tags={"aws:x": "y"}), "tags.aws:x", "aws:x", "not starting with aws: or", None),
    (changed(tags={"a": "é!"}), "tags.a", "é!", "up to 256 letters", None),
    (changed(propagateTags=["a", "a"]), "propagateTags", "2 keys", "each once", None),
    (changed(propagateTags=["aws:x"]), "propagateTags.0", "aws:x", "not starting with", None),
    (changed(tags={f"t{n}": "" for n in range(41)}), "tags", "41 tags", "up to 40", None),
    (
        slots(enable=True),
        LIMIT.replace(LIMIT.split(".")[-1], "enable"),
        "true",
        "enabled",
        "enabled",
    ),
    (slots(max_concurrent_non_isolated_runs=0), LIMIT, "0", "1 to 1000", "1"),
    (slots(max_concurrent_non_isolated_runs=5000), LIMIT, "5000", "1 to 1000", "1000"),
    (slots(max_concurrent_non_isolated_runs="2"), LIMIT, "2", "a whole number", None),
    (named("Sales"), "codeLocations.Sales", "Sales", "lower-case letters", "sales"),
    (named("a.b"), "codeLocations.a.b", "a.b", "lower-case letters", "a-b"),
    (named("x" * 40), f"codeLocations.{'x' * 40}", "x" * 40, "1 to 35 ", "x" * 35),
    (location(image=None), f"{SALES}.image", "(missing)", "required: the image", None),
    (location(image="Sales:1"), f"{SALES}.image", "Sales:1", "in lower case", "sales:1"),
    (
        location(image="https://r.io/a:1"),
        f"{SALES}.image",
        "https://r.io/a:1",
        "[:tag]",
        "r.io/a:1",
    ),
    (
        location(max_concurrent_non_isolated_runs=-1),
        f"{SALES}.max_concurrent_non_isolated_runs",
        "-1",
        "0 to 1000",
        "0",
    ),
    (
        location(maxConcurrentNonIsolatedRuns=1),
        f"{SALES}.maxConcurrentNonIsolatedRuns",
        "1",
        "max_concurrent_non_isolated_runs",
        "max_concurrent_non_isolated_runs",
    ),
    (location(imag="x"), f"{SALES}.imag", "x", "one of the keys image, module", "image"),
    (location(module=None), SALES, "none of them", "exactly one of module, pythonFile", "module"),
    (location(package="p"), SALES, "module and package", "exactly one of", "module"),
    (
        location(module="sales/defs.py"),
        f"{SALES}.module",
        "sales/defs.py",
        "a Python module",
        "sales.defs",
    ),
    (location(attribute="my defs"), f"{SALES}.attribute", "my defs", "an attribute", "my_defs"),
    (
        location(module=None, pythonFile="defs"),
        f"{SALES}.pythonFile",
        "defs",
        "a .py file",
        "defs.py",
    ),
    (
        location(workingDirectory="src"),
        f"{SALES}.workingDirectory",
        "src",
        "the absolute path of a directory in the image",
        None,
    ),
    (
        location(workingDirectory=" /app"),
        f"{SALES}.workingDirectory",
        " /app",
        "the absolute path of a directory in the image",
        "/app",
    ),
    (location(env={"A": 1}), f"{SALES}.env.A", "1", "put quotes around it", '"1"'),
    (location(env={"A": True}), f"{SALES}.env.A", "true", "put quotes around it", '"true"'),
    (location(env={"MY-VAR": "1"}), f"{SALES}.env.MY-VAR", "MY-VAR", "letters, digits", "MY_VAR"),
    (
        location(env={"RUN_ISOLATION_LOCATION": "x"}),
        f"{SALES}.env.RUN_ISOLATION_LOCATION",
        "RUN_ISOLATION_LOCATION",
        "any name but RUN_ISOLATION_*",
        None,
    ),
    (
        location(env={"RUN_ISOLATION_LOG_LEVEL": "debugg"}),
        f"{SALES}.env",
        "RUN_ISOLATION_LOG_LEVEL=debugg",
        "one of debug, info, warning, error",
        "debug",
    ),
    (
        location(env={"AWS_REGION": "x"}),
        f"{SALES}.env.AWS_REGION",
        "AWS_REGION",
        "any name but",
        None,
    ),
    (
        location(env={"A": "x"}, secrets={"A": DATABASE}),
        f"{SALES}.secrets",
        "A",
        "names that env does not have",
        None,
    ),
    (
        location(secrets={"A": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:short"}),
        f"{SALES}.secrets.A",
        "arn:aws:secretsmanager:eu-west-1:123456789012:secret:short",
        "-<6 characters>",
        None,
    ),
    (location(architecture="arm"), f"{SALES}.architecture", "arm", "X86_64 or ARM64", "ARM64"),
    (location(architecture="amd64"), f"{SALES}.architecture", "amd64", "X86_64 or ARM64", "X86_64"),
    (location(policyArns=["p"]), f"{SALES}.policyArns.0", "p", "ARN of a managed policy", None),
    (location(standing={"cpu": 300}), f"{SALES}.standing.cpu", "300", "256, 512, 1024", "256"),
    (
        location(standing={"memory": 4096}),
        f"{SALES}.standing.memory",
        "4096",
        "512, 1024 or 2048 MiB with cpu 256",
        "2048",
    ),
    (
        location(isolated={"largest": {"cpu": 8000}}),
        f"{SALES}.isolated.largest.cpu",
        "8000",
        "8192, 16384 CPU units",
        "8192",
    ),
    (
        location(isolated={"largest": {"cpu": 8192}}),
        f"{SALES}.isolated.largest.memory",
        "122880",
        "16384 to 61440 MiB",
        "61440",
    ),
    (
        location(isolated={"largest": {"cpu": 2048, "memory": 16384}}),
        f"{SALES}.isolated.largest",
        "cpu 2048, memory 16384",
        "no less than the task of every isolated run: cpu 4096, memory 16384",
        "cpu 4096, memory 16384",
    ),
    (location(isolated={"spot": "yes"}), f"{SALES}.isolated.spot", "yes", "true or false", None),
    (
        location(isolated={"memory": 16000}),
        f"{SALES}.isolated.memory",
        "16000",
        "8192 to 30720 MiB in steps of 1024 with cpu 4096",
        "16384",
    ),
    (
        location(isolated={"cpu": 1024}),
        f"{SALES}.isolated.memory",
        "16384",
        "2048 to 8192 MiB in steps of 1024 with cpu 1024",
        "8192",
    ),
    (
        location(isolated={"ephemeralStorage": 20}),
        f"{SALES}.isolated.ephemeralStorage",
        "20",
        "21 to 200 GiB",
        "21",
    ),
    (location(isolated={"memroy": 1}), f"{SALES}.isolated.memroy", "1", "cpu, memory", "memory"),
    (
        changed(network={"cidr": "10.0.0.0"}),
        "network.cidr",
        "10.0.0.0",
        "/16 to /24",
        "10.0.0.0/24",
    ),
    (changed(network={"cidr": "10.1.2.3/16"}), "network.cidr", "10.1.2.3/16", "/16", "10.1.0.0/16"),
    (changed(network={"cidr": "10.0.0.0/8"}), "network.cidr", "10.0.0.0/8", "/16", "10.0.0.0/16"),
    (changed(network={"cidr": "ten"}), "network.cidr", "ten", "/16 to /24", "10.0.0.0/16"),
    (changed(network={"natGateways": 3}), "network.natGateways", "3", "1, or 2", "2"),
    (
        changed(network={"subnetIds": [SUBNET]}),
        "network",
        "subnetIds without vpcId",
        "vpcId and subnetIds together",
        None,
    ),
    (changed(network={"vpcId": VPC}), "network", "vpcId without subnetIds", "together", None),
    (
        changed(network={"vpcId": VPC, "subnetIds": [SUBNET, SUBNET]}),
        "network.subnetIds",
        f"['{SUBNET}', '{SUBNET}']",
        "each once",
        None,
    ),
    (
        changed(network={"vpcId": VPC, "subnetIds": [SUBNET], "cidr": "10.0.0.0/16"}),
        "network.cidr",
        "10.0.0.0/16",
        "absent: with vpcId",
        None,
    ),
    (changed(network={"assignPublicIp": True}), "network.assignPublicIp", "true", "vpcId", "false"),
    (
        changed(instance={}),
        "instance",
        "none of them",
        "exactly one of databaseUrlSecretArn, database, sqliteDirectory and a storage",
        "databaseUrlSecretArn",
    ),
    (
        changed(instance={"sqliteDirectory": "data"}),
        "instance.sqliteDirectory",
        "data",
        "only in the local account 000000000000",
        "databaseUrlSecretArn",
    ),
    (
        changed(instance={"databaseUrlSecretArn": DATABASE, "database": {"secretArn": DATABASE}}),
        "instance",
        "databaseUrlSecretArn and database",
        "exactly one of",
        "databaseUrlSecretArn",
    ),
    (
        changed(instance={"databaseUrlSecretArn": DATABASE, "computeLogsBucket": "My_Bucket"}),
        "instance.computeLogsBucket",
        "My_Bucket",
        "create, or the name",
        "my-bucket",
    ),
]


@pytest.mark.parametrize(
    ("config", "key", "value", "allowed", "nearest"), BAD, ids=[f"{c[1]}={c[2]}" for c in BAD]
)
def test_each_mistake_is_told_with_key_value_allowed_and_nearest(
    config: dict[str, Any], key: str, value: str, allowed: str, nearest: str | None
) -> None:
    [problem] = problems(config)
    assert problem.key == f"run-isolation:{key}"
    assert problem.value == value
    assert allowed in problem.allowed
    assert problem.nearest == nearest


def test_all_mistakes_are_told_at_once() -> None:
    config = {
        **changed(logRetentionDays=31, protect="yes"),
        **location(image="Sales:1", package="p", env={"A": 1}, standing={"cpu": 300}),
        "run-isolation:network": {"vpcId": VPC, "cidr": "ten"},
        "run-isolation:instance": {"sqliteDirectory": "data"},
        "run-isolation:tag": {},
    }
    assert {problem.key.removeprefix("run-isolation:") for problem in problems(config)} == {
        *(
            "logRetentionDays",
            "protect",
            "network",
            "network.cidr",
            "instance.sqliteDirectory",
            "tag",
        ),
        *(SALES, f"{SALES}.image", f"{SALES}.env.A", f"{SALES}.standing.cpu"),
    }


def test_names_that_are_one_host_are_both_told() -> None:
    config = changed(codeLocations={n: {"image": "i", "module": "m"} for n in ("a-b", "a_b", "c")})
    found = problems(config)
    assert [problem.value for problem in found] == ["a-b", "a_b"]
    assert all("both the host a-b" in problem.allowed for problem in found)


@pytest.mark.parametrize(
    ("stack", "nearest"),
    [("prod-eu", "prodeu"), ("Prod", "prod"), ("1", None), ("x" * 24, "x" * 23)],
)
def test_stack_names_keep_two_stacks_apart(stack: str, nearest: str | None) -> None:
    config = changed(codeLocations={})
    [problem] = problems(config, stack=stack)
    assert (problem.key, problem.value, problem.nearest) == ("stack name", stack, nearest)


def test_a_secret_is_not_shown() -> None:
    config = changed(instance={"databaseUrlSecretArn": "hunter2"})
    [problem] = problems(config, secret="run-isolation:instance")
    assert "hunter2" not in str(problem)
    assert problem.value == "(secret)"


def test_sqlite_is_for_the_local_account() -> None:
    config = changed(instance={"sqliteDirectory": "data"})
    parsed = parse(texts(config), deployment="local", account="000000000000")
    assert parsed.instance.sqlite_directory == "data"


def test_the_message_reads_well() -> None:
    with pytest.raises(ConfigError) as refused:
        parse(texts(location(isolated={"memory": 16000})), deployment="prod", account=ACCOUNT)
    assert str(refused.value) == (
        "1 problem in the config of stack prod, stacks/Pulumi.prod.yaml\n"
        "\n"
        "run-isolation:codeLocations.sales.isolated.memory: 16000\n"
        "  allowed: 8192 to 30720 MiB in steps of 1024 with cpu 4096 "
        "(https://docs.aws.amazon.com/AmazonECS/latest/developerguide/"
        "task_definition_parameters.html#task_size)\n"
        "  nearest: 16384"
    )


def test_defaults_are_those_of_the_documentation() -> None:
    config = parse(texts(changed(tags=None)), deployment="prod", account=ACCOUNT)
    sales = config.code_locations["sales"]
    assert (sales.standing.cpu, sales.standing.memory) == (256, 1024)
    assert (sales.isolated.cpu, sales.isolated.memory) == (4096, 16384)
    assert sales.architecture == "X86_64"
    assert not config.deployment_settings.non_isolated_runs.enabled
    assert config.log_retention_days == 30
    assert config.protect
    assert config.tags == {}


def test_other_namespaces_are_not_ours() -> None:
    config = {**CONFIG, "aws:profile": "x", "other:key": "y"}
    assert isinstance(parse(texts(config), deployment="prod", account=ACCOUNT), Config)


def test_the_level_of_the_log_is_the_one_variable_of_ours_that_env_may_set() -> None:
    config = parse(
        texts(location(env={"RUN_ISOLATION_LOG_LEVEL": "debug"})),
        deployment="prod",
        account=ACCOUNT,
    )
    assert config.code_locations["sales"].env == {"RUN_ISOLATION_LOG_LEVEL": "debug"}
