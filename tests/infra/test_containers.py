import copy
import json
from typing import Any

import botocore.session
import pytest
from botocore.validate import ParamValidator

from infra import containers, instance_document
from tests.infra.program import CONFIG, DATABASE, REGION, SALES_IMAGE, TOKEN, changed, deployment

VERSION = instance_document.render(deployment()).version
REVISION = "arn:aws:ecs:eu-west-1:123456789012:task-definition/run-isolation-prod-sales-isolated:7"


def standing(location: str, config: dict[str, Any] = CONFIG) -> dict[str, Any]:
    [container] = json.loads(containers.standing(deployment(config), location, REVISION))
    return dict(container)


def isolated(location: str) -> dict[str, Any]:
    [container] = json.loads(containers.isolated(deployment(), location))
    return dict(container)


def common(prefix: str) -> dict[str, Any]:
    return {
        "name": "dagster",
        "image": SALES_IMAGE,
        "cpu": 0,
        "essential": True,
        "environment": [
            {"name": "AWS_REGION", "value": REGION},
            {"name": "DAGSTER_CLOUD_DEPLOYMENT_NAME", "value": "prod"},
            {"name": "DAGSTER_CLOUD_IS_BRANCH_DEPLOYMENT", "value": "0"},
            {"name": "DAGSTER_CURRENT_IMAGE", "value": SALES_IMAGE},
            {"name": "DAGSTER_DEFAULT_IO_MANAGER_ATTRIBUTE", "value": "io_manager"},
            {"name": "DAGSTER_DEFAULT_IO_MANAGER_MODULE", "value": "run_isolation.dagster.outputs"},
            {"name": "RUN_ISOLATION_DEPLOYMENT", "value": "prod"},
            {"name": "RUN_ISOLATION_INSTANCE", "value": VERSION},
            {"name": "RUN_ISOLATION_LOCATION", "value": "sales"},
            {"name": "RUN_ISOLATION_MANIFEST", "value": "/run-isolation/prod/manifest"},
            {
                "name": "RUN_ISOLATION_OUTPUTS",
                "value": "s3://run-isolation-prod-outputs-123456789012/prod",
            },
            {"name": "RUN_ISOLATION_TABLE", "value": "run-isolation-prod-slots"},
        ],
        "secrets": [{"name": "RUN_ISOLATION_DATABASE", "valueFrom": DATABASE}],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": "/run-isolation/prod/sales",
                "awslogs-region": REGION,
                "awslogs-stream-prefix": prefix,
                "max-buffer-size": "25m",
                "mode": "non-blocking",
            },
        },
        "linuxParameters": {"initProcessEnabled": True},
        "stopTimeout": 120,
        "mountPoints": [],
        "portMappings": [],
        "systemControls": [],
        "volumesFrom": [],
    }


def test_isolated_container() -> None:
    assert isolated("sales") == {**common("isolated"), "command": ["run-isolation", "run"]}


def test_standing_container() -> None:
    container = standing("sales")
    check = container.pop("healthCheck")
    assert check.pop("command")[:5] == ["CMD", "python3", "-I", "-S", "-c"]
    assert check == {"interval": 10, "timeout": 10, "retries": 6, "startPeriod": 300}
    context = container["command"].pop()
    assert json.loads(context) == {
        "run_isolation": {"task_definition": REVISION, "instance": VERSION}
    }
    bucket = {
        "name": "RUN_ISOLATION_COMPUTE_LOGS_BUCKET",
        "value": "run-isolation-prod-compute-logs-123456789012",
    }
    known = common("standing")
    assert container == {
        **known,
        "environment": sorted([*known["environment"], bucket], key=lambda one: one["name"]),
        "command": [
            *("run-isolation", "code-server", "--port", "4000", "--control-port", "4001"),
            *("--module-name", "sales.definitions"),
            *("--location-name", "sales", "--container-context"),
        ],
        "portMappings": [
            {"containerPort": port, "hostPort": port, "protocol": "tcp"} for port in (4000, 4001)
        ],
    }


def test_every_key_of_a_location_reaches_both_containers() -> None:
    assert standing("research_lab")["command"][2:-4] == [
        *("--port", "4000", "--control-port", "4001", "--python-file", "research/defs.py"),
        *("--attribute", "defs", "--no-warm-start"),
    ]
    kinds = {"standing": standing("research_lab"), "isolated": isolated("research_lab")}
    for kind, container in kinds.items():
        assert [one["name"] for one in container["environment"]] == [
            *("AWS_REGION", "COLOR", "DAGSTER_CLOUD_DEPLOYMENT_NAME"),
            *("DAGSTER_CLOUD_IS_BRANCH_DEPLOYMENT", "DAGSTER_CURRENT_IMAGE"),
            *("DAGSTER_DEFAULT_IO_MANAGER_ATTRIBUTE", "DAGSTER_DEFAULT_IO_MANAGER_MODULE"),
            *(["RUN_ISOLATION_COMPUTE_LOGS_BUCKET"] if kind == "standing" else []),
            *("RUN_ISOLATION_DEPLOYMENT", "RUN_ISOLATION_INSTANCE", "RUN_ISOLATION_LOCATION"),
            *("RUN_ISOLATION_MANIFEST", "RUN_ISOLATION_OUTPUTS", "RUN_ISOLATION_TABLE"),
            *(["RUN_ISOLATION_WORKING_DIRECTORY"] if kind == "standing" else []),
            "ZONE",
        ]
        assert container["workingDirectory"] == "/srv"
        assert container["secrets"] == [
            {"name": "RUN_ISOLATION_DATABASE", "valueFrom": DATABASE},
            {"name": "TOKEN", "valueFrom": f"{TOKEN}:key::"},
        ]


@pytest.mark.parametrize(
    ("key", "value", "option"),
    [
        ("module", "code.defs", "--module-name"),
        ("pythonFile", "code/defs.py", "--python-file"),
        ("package", "code", "--package-name"),
        ("autoloadDefsModule", "code.defs", "--autoload-defs-module-name"),
    ],
)
def test_code_server_is_told_where_the_definitions_are(key: str, value: str, option: str) -> None:
    config = changed(codeLocations={"code": {"image": "code:1", key: value}})
    assert standing("code", config)["command"][6:8] == [option, value]


def test_without_a_database_there_is_no_secret() -> None:
    config = changed(instance={"sqliteDirectory": "data"})
    text = containers.isolated(deployment(config, account="000000000000"), "sales")
    assert json.loads(text)[0]["secrets"] == []


def test_order_in_the_config_does_not_matter() -> None:
    turned = copy.deepcopy(CONFIG)
    location = turned["run-isolation:codeLocations"]["research_lab"]
    location["env"] = dict(reversed(location["env"].items()))
    assert containers.isolated(deployment(turned), "research_lab") == containers.isolated(
        deployment(), "research_lab"
    )


@pytest.mark.parametrize("location", ["sales", "research_lab"])
def test_ecs_accepts_the_definitions(location: str) -> None:
    shape = (
        botocore.session.get_session()
        .get_service_model("ecs")
        .operation_model("RegisterTaskDefinition")
        .input_shape
    )
    assert shape is not None
    for container in (standing(location), isolated(location)):
        request = {"family": "family", "containerDefinitions": [container]}
        assert not ParamValidator().validate(request, shape).generate_report()
        assert not nulls(container)


def nulls(value: object) -> bool:
    """Whether there is a null anywhere: ECS would not return it."""
    if isinstance(value, dict):
        return any(map(nulls, value.values()))
    if isinstance(value, list):
        return any(map(nulls, value))
    return value is None


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {one["name"]: one["value"] for one in container["environment"]}


def of_all(**instance: Any) -> dict[str, Any]:
    """A config whose instance has more to say."""
    return changed(instance={"databaseUrlSecretArn": DATABASE, **instance})


def test_a_locations_own_variables_go_before_the_instances() -> None:
    config = of_all(
        env={"ZONE": "us", "TOKEN": "open", "SHARED": "1"}, secrets={"COLOR": TOKEN, "ALL": TOKEN}
    )
    container = standing("research_lab", config)
    assert variables(container).items() >= {"ZONE": "eu", "COLOR": "green", "SHARED": "1"}.items()
    assert "TOKEN" not in variables(container)
    assert container["secrets"] == [
        {"name": "ALL", "valueFrom": TOKEN},
        {"name": "RUN_ISOLATION_DATABASE", "valueFrom": DATABASE},
        {"name": "TOKEN", "valueFrom": f"{TOKEN}:key::"},
    ]


def test_a_location_has_dagsters_name() -> None:
    sales = {"image": SALES_IMAGE, "module": "sales.definitions", "locationName": "Sales team"}
    container = standing("sales", changed(codeLocations={"sales": sales}))
    command = container["command"]
    assert command[command.index("--location-name") + 1] == "Sales team"
    assert variables(container)["RUN_ISOLATION_LOCATION"] == "Sales team"
    # What AWS has keeps the name that its rules allow.
    assert container["logConfiguration"]["options"]["awslogs-group"] == "/run-isolation/prod/sales"


def test_a_location_keeps_outputs_in_a_bucket_of_its_own() -> None:
    sales = {"image": SALES_IMAGE, "module": "sales.definitions", "io": "of-sales"}
    container = standing("sales", changed(codeLocations={"sales": sales}))
    assert variables(container)["RUN_ISOLATION_OUTPUTS"] == "s3://of-sales/prod"


@pytest.mark.parametrize("own", ["DAGSTER_DEFAULT_IO_MANAGER_MODULE", None])
def test_without_a_bucket_or_with_ones_own_default_ours_is_not_named(own: str | None) -> None:
    config = of_all(io="create", env={own: "mine"}) if own else of_all()
    found = {k: v for k, v in variables(standing("sales", config)).items() if "IO_MANAGER" in k}
    assert found == ({own: "mine"} if own else {})
    assert "RUN_ISOLATION_OUTPUTS" not in variables(standing("sales", config))


def test_a_token_needs_no_secret() -> None:
    database = {"host": "db", "name": "dagster", "user": "me", "iamAuthentication": True}
    config = changed(instance={"database": database})
    assert standing("sales", config)["secrets"] == []
