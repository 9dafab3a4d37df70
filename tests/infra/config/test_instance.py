"""The database as AWS hands it out, and what every actor has in its environment."""

from typing import Any

import pytest

from infra.config import Problem
from tests.infra.config.refusals import accepted, problem, problems
from tests.infra.program import ACCOUNT, DATABASE, REGION, changed

OF_RDS = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:rds!db-1f4a0c7e-0d1b-4a0b-9c9e-AbCdEf"
OF_CLUSTER = OF_RDS.replace("rds!db", "rds!cluster")
IAM = {"iamAuthentication": True, "host": "db", "name": "dagster", "user": "dagster"}


def having(**database: Any) -> dict[str, Any]:
    return changed(instance={"database": database})


@pytest.mark.parametrize(
    "database",
    [
        {"secretArn": DATABASE},
        {"secretArn": DATABASE, "keys": {"host": "hostname", "name": "database"}},
        {"secretArn": OF_RDS, "host": "db", "name": "dagster"},
        {"secretArn": OF_CLUSTER, "host": "db", "port": 5433, "name": "dagster"},
        {"secretArn": DATABASE, "sslMode": "verify-full", "sslRootCert": "/etc/rds.pem"},
        {"secretArn": f"{DATABASE}:dagster::", "sslRootCert": "system"},
        IAM,
        {**IAM, "secretArn": OF_RDS, "resourceId": "cluster-ABC", "sslMode": "verify-ca"},
    ],
)
def test_forms_of_a_database(database: dict[str, Any]) -> None:
    accepted(having(**database))


@pytest.mark.parametrize(
    ("database", "key", "value", "allowed", "nearest"),
    [
        ({**IAM, "sslMode": "prefer"}, "sslMode", "prefer", "over TLS only", "require"),
        ({**IAM, "sslMode": "verify"}, "sslMode", "verify", "verify-ca", "verify-ca"),
        ({**IAM, "user": None}, "user", "(missing)", "the database user that tasks", None),
        ({**IAM, "resourceId": "my-db"}, "resourceId", "my-db", "db-…, cluster-… or prx-…", None),
        (
            {"secretArn": DATABASE, "resourceId": "db-ABC"},
            "resourceId",
            "db-ABC",
            "without iamAuthentication",
            None,
        ),
        ({"secretArn": DATABASE, "port": 0}, "port", "0", "1 to 65535", "1"),
        ({"secretArn": DATABASE, "sslRootCert": "a.pem"}, "sslRootCert", "a.pem", "absolute", None),
        ({"secretArn": DATABASE, "keys": {"pass": "p"}}, "keys.pass", "p", "password", "password"),
    ],
)
def test_mistakes_about_a_database(
    database: dict[str, Any], key: str, value: str, allowed: str, nearest: str | None
) -> None:
    found = problem(having(**database))
    assert (found.key, found.value, found.nearest) == (
        f"run-isolation:instance.database.{key}",
        value,
        nearest,
    )
    assert allowed in found.allowed


def test_rds_own_secret_has_neither_host_nor_name() -> None:
    found = problems(having(secretArn=OF_RDS))
    assert [one.key.rpartition(".")[2] for one in found] == ["host", "name"]
    assert all("RDS's own secret has none" in one.allowed for one in found)


def test_a_database_without_a_secret_needs_all_the_rest() -> None:
    found = problems(having(user="dagster"))
    assert [one.key.rpartition(".")[2] for one in found] == ["host", "name", "iamAuthentication"]


def test_secrets_of_rds_are_taken_everywhere() -> None:
    location = {"image": "a:1", "module": "a", "secrets": {"PG": f"{OF_CLUSTER}:password::"}}
    accepted(
        changed(
            codeLocations={"a": location},
            instance={"databaseUrlSecretArn": OF_RDS, "secrets": {"PG": f"{OF_RDS}:username::"}},
        )
    )


@pytest.mark.parametrize(
    ("instance", "key"),
    [
        ({"env": {"AWS_REGION": "x"}}, "env.AWS_REGION"),
        ({"env": {"RUN_ISOLATION_LOG_LEVEL": "loud"}}, "env"),
        ({"env": {"A": "a"}, "secrets": {"A": DATABASE}}, "secrets"),
        ({"secrets": {"A": "arn"}}, "secrets.A"),
        ({"io": "My_Bucket"}, "io"),
    ],
)
def test_variables_of_every_actor_are_checked_as_those_of_a_location(
    instance: dict[str, Any], key: str
) -> None:
    found = problem(changed(instance={"databaseUrlSecretArn": DATABASE, **instance}))
    assert found.key == f"run-isolation:instance.{key}"


def test_a_location_has_a_bucket_of_its_own_and_makes_none() -> None:
    location = {"image": "a:1", "module": "a", "io": "create"}
    found = problem(changed(codeLocations={"a": location}))
    assert found.key == "run-isolation:codeLocations.a.io"
    assert "create is for `instance.io`" in found.allowed


LOCATIONS = {"sales": {"image": "s:1", "module": "s"}, "lab": {"image": "l:1", "module": "l"}}


def naming(**names: str) -> dict[str, Any]:
    return changed(
        codeLocations={
            key: {**one, **({"locationName": names[key]} if key in names else {})}
            for key, one in LOCATIONS.items()
        }
    )


@pytest.mark.parametrize(
    "name", ["my_pkg.definitions", "Sales", "data team", "grpc:host:4000", "Vertrieb Süd"]
)
def test_dagsters_name_of_a_location_is_free(name: str) -> None:
    assert accepted(naming(sales=name)).code_locations["sales"].location_name == name


@pytest.mark.parametrize("name", ["", " Sales", "a\nb", "x" * 101])
def test_a_name_is_one_line_and_not_too_long(name: str) -> None:
    assert "1 to 100 bytes" in problem(naming(sales=name)).allowed


@pytest.mark.parametrize("names", [{"sales": "lab"}, {"sales": "Sales", "lab": "Sales"}])
def test_names_are_unique(names: dict[str, str]) -> None:
    found = problems(naming(**names))
    assert {one.key for one in found} == {
        f"run-isolation:codeLocations.{key}.locationName" for key in names
    }
    assert all("lab and sales have the same" in one.allowed for one in found)


def reading(content: dict[str, Any], **locations: dict[str, Any]) -> dict[str, Any]:
    own = {key: {**one, **locations.get(key, {})} for key, one in LOCATIONS.items()}
    instance = {
        "databaseUrlSecretArn": DATABASE,
        "env": {"EVERYWHERE": "1"},
        "secrets": {"HIDDEN": DATABASE},
        "dagsterYaml": content,
    }
    return changed(codeLocations=own, instance=instance)


LOGS = {"module": "m", "class": "C", "config": {"buckets": [{"env": "MINE"}]}}


@pytest.mark.parametrize(
    ("locations", "lacking"),
    [
        ({"sales": {"env": {"MINE": "1"}}}, "webserver, daemon, tasks of lab would have no MINE"),
        (
            {"sales": {"env": {"MINE": "1"}}, "lab": {"secrets": {"MINE": DATABASE}}},
            "webserver, daemon would have no MINE",
        ),
    ],
)
def test_a_name_that_some_actor_would_not_have_is_refused_with_its_place(
    locations: dict[str, Any], lacking: str
) -> None:
    found: Problem = problem(reading({"compute_logs": LOGS}, **locations))
    assert found.key == "run-isolation:instance.dagsterYaml.compute_logs.config.buckets.0"
    assert found.value == "{env: MINE}"
    assert lacking in found.allowed
    assert found.nearest == "instance.secrets.MINE"


@pytest.mark.parametrize(
    "name", ["EVERYWHERE", "HIDDEN", "AWS_REGION", "DAGSTER_CLOUD_DEPLOYMENT_NAME"]
)
def test_names_that_all_actors_have(name: str) -> None:
    accepted(reading({"compute_logs": {**LOGS, "config": {"bucket": {"env": name}}}}))


def test_the_bucket_of_logs_is_no_secret_as_rights_are_by_its_name() -> None:
    s3 = {"module": "dagster_aws.s3", "class": "S3ComputeLogManager"}
    config = {"bucket": {"env": "EVERYWHERE"}, "prefix": {"env": "HIDDEN"}}
    accepted(reading({"compute_logs": {**s3, "config": config}}))
    found = problem(reading({"compute_logs": {**s3, "config": {"bucket": {"env": "HIDDEN"}}}}))
    assert found.key == "run-isolation:instance.dagsterYaml.compute_logs.config.bucket"
    assert found.nearest == "instance.env.HIDDEN"


def test_a_tag_named_env_is_no_variable() -> None:
    accepted(reading({"auto_materialize": {"run_tags": {"env": "prod"}}}))


def test_the_same_key_may_not_say_two_things() -> None:
    config = reading({"run_queue": {"max_concurrent_runs": 5}})
    config["run-isolation:deploymentSettings"] = {
        "concurrency": {"runs": {"max_concurrent_runs": 6}, "pools": {"default_limit": 1}}
    }
    found = problem(config)
    assert found.key == "run-isolation:deploymentSettings.concurrency.runs.max_concurrent_runs"
    assert (found.value, found.nearest) == ("6", "5")
    assert "instance.dagsterYaml.run_queue.max_concurrent_runs" in found.allowed
