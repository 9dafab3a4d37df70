"""Options of the code server come from where those of ``dagster api grpc`` come from."""

from __future__ import annotations

from typing import Any

import pytest
from dagster._cli import ENV_PREFIX, create_dagster_cli
from dagster._cli.api import grpc_command

from run_isolation.dagster.standing import code_server
from run_isolation.server_identity import ServerIdentity
from run_isolation.task_metadata import TaskMetadata

TASK = TaskMetadata("arn:aws:ecs:us-east-1:123456789012:task/run-isolation-test/1", "127.0.0.9")
OURS = {"host", "fixed_server_id", "max_workers"}
"""Options that have another default here."""
VALUES = {"port": "4711", "log_level": "debug", "log_format": "json", "python_file": __file__}


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What Dagster's command was called with."""
    found: dict[str, Any] = {}
    monkeypatch.setenv("DAGSTER_GRPC_SHUTDOWN_GRACE_PERIOD", "1")  # it sets it where nobody has
    monkeypatch.setattr(grpc_command, "callback", lambda **options: found.update(options))
    for option in grpc_command.params:
        for name in (option.envvar or (), f"{ENV_PREFIX}_API_GRPC_{str(option.name).upper()}"):
            monkeypatch.delenv(str(name), raising=False)
    return found


def ours(*options: str, task: TaskMetadata | None = None) -> None:
    with pytest.raises(SystemExit) as ended:
        code_server.serve(options, task, None, warm_start=False)
    assert ended.value.code == 0


def dagsters() -> None:
    cli: Any = create_dagster_cli()  # type: ignore[no-untyped-call]
    with pytest.raises(SystemExit) as ended:
        cli.main(["api", "grpc"], auto_envvar_prefix=ENV_PREFIX)
    assert ended.value.code == 0


@pytest.mark.parametrize("option", grpc_command.params, ids=lambda option: str(option.name))
def test_each_option_may_be_a_variable(
    option: Any, served: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    value = "1" if getattr(option, "is_flag", False) else VALUES.get(option.name, "2")
    monkeypatch.setenv(f"{ENV_PREFIX}_API_GRPC_{option.name.upper()}", value)
    dagsters()
    expected = dict(served)
    served.clear()
    ours()
    assert served[option.name] == expected[option.name] != option.default
    different = {name for name in served if served[name] != expected[name]}
    assert different <= OURS - {option.name}


def test_what_nobody_names_is_the_task_s(served: dict[str, Any]) -> None:
    ours("--port", "4000", task=TASK)
    assert served["host"] == TASK.address
    identity = ServerIdentity(TASK.task_arn, f"{TASK.address}:4001")
    assert served["fixed_server_id"] == identity.to_server_id()


@pytest.mark.parametrize("name", ["DAGSTER_GRPC_HOST", f"{ENV_PREFIX}_API_GRPC_HOST"])
def test_a_host_that_is_named_is_taken(
    name: str, served: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, "127.0.0.7")
    ours("--port", "4000", task=TASK)
    assert served["host"] == "127.0.0.7"
    ours("--port", "4000", "--host", "127.0.0.8", task=TASK)
    assert served["host"] == "127.0.0.8"


def test_a_port_that_is_a_variable_is_the_public_one(
    served: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{ENV_PREFIX}_API_GRPC_PORT", "4711")
    ours(task=TASK)
    identity = ServerIdentity.from_server_id(served["fixed_server_id"])
    assert identity is not None
    assert identity.address == f"{TASK.address}:4712"
