"""What tasks are told by another version, and by what they are found."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber
from click.testing import CliRunner
from dagster import DagsterRun
from dagster._cli.api import grpc_command
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from types_boto3_ssm import SSMClient

from run_isolation import IsolatedLaunch, Manifest, ManifestError, aws, task_metadata
from run_isolation.cli import main
from run_isolation.dagster import worker
from run_isolation.dagster.launch.advertised import task_definition
from run_isolation.dagster.standing import code_server
from run_isolation.isolated.orphans import IsolatedTask
from run_isolation.isolated.run_task import request, started_by
from run_isolation.tasks import TaskState
from tests.wire.formats import rendered
from tests.wire.recorded import each, parsed
from tests.wire.values import LOCATION, REVISION, RUN, TASK

PARAMETER = "/run-isolation/prod/manifest"


@pytest.fixture
def ssm(account: None) -> SSMClient:
    return aws.ssm()


def loaded(ssm: SSMClient, value: Any) -> Manifest:
    ssm.put_parameter(Name=PARAMETER, Value=json.dumps(value), Type="String", Overwrite=True)
    return Manifest.load(PARAMETER, ssm)


def grown(value: Any) -> Any:
    """With a field that this version does not know in each part."""
    if not isinstance(value, dict):
        return value
    inner = {key: grown(each) for key, each in value.items()}
    return inner if "sales" in value else {**inner, "colour": "blue"}


def in_it(part: Any, whole: Any) -> bool:
    """Whether all of a part is in the whole."""
    if isinstance(part, Mapping):
        return all(key in whole and in_it(value, whole[key]) for key, value in part.items())
    return bool(part == whole)


@each("manifest.json")
def test_the_manifest(file: Path, ssm: SSMClient) -> None:
    manifest = loaded(ssm, parsed(file))
    # What ``instance`` said until 0.1.0 is an item of its own now.
    known = {key: value for key, value in parsed(file).items() if key != "instance"}
    assert in_it(known, manifest.model_dump(mode="json"))
    assert loaded(ssm, grown(parsed(file))) == manifest


@each("manifest.json")
def test_a_manifest_of_another_form_is_refused_in_words(file: Path, ssm: SSMClient) -> None:
    with pytest.raises(ManifestError, match="Use the release of run-isolation"):
        loaded(ssm, parsed(file) | {"version": 2})


@each("containers.json")
@pytest.mark.parametrize("location", ["sales", "research_lab"])
def test_the_code_server_takes_its_command(file: Path, location: str) -> None:
    program, *options = parsed(file)[location]["standing"]["command"]
    with patch.object(code_server, "serve") as serve:
        result = CliRunner().invoke(main, options, catch_exceptions=False)
    assert (program, result.exit_code) == ("run-isolation", 0), result.output
    (dagsters, _, control_port), given = serve.call_args
    assert (control_port, given) == (4001, {"warm_start": location == "sales"})
    taken = grpc_command.make_context("code-server", list(dagsters)).params
    assert (taken["port"], taken["location_name"]) == (4000, location)


@each("containers.json")
def test_an_option_of_a_later_version_is_refused_in_words(file: Path) -> None:
    """So what is new is told by environment variables."""
    options = parsed(file)["research_lab"]["standing"]["command"][1:]
    result = CliRunner().invoke(main, [*options, "--colour", "blue"])
    assert result.exit_code == 2
    assert "No such option" in result.output
    assert "--colour" in result.output


@each("container_context.json")
def test_a_run_knows_its_task_definition(file: Path) -> None:
    """As Dagster has stored it with the run: once deployed, it is there for years."""
    context = parsed(file)
    repository = RepositoryPythonOrigin(
        executable_path="python",
        code_pointer=ModuleCodePointer("sales", "defs"),
        container_context={**context, "ecs": {}, "run_isolation": grown(context["run_isolation"])},
    )
    origin = JobPythonOrigin(job_name="report", repository_origin=repository)
    run = DagsterRun(job_name="report", run_id=RUN, job_code_origin=origin)
    assert task_definition(run) == REVISION


@each("run_task.json")
@pytest.mark.parametrize(("which", "attempt"), [("plain", 1), ("everything", 2)])
def test_the_worker_takes_its_overrides(
    file: Path, which: str, attempt: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container's own command, with the environment that RunTask adds."""
    [override] = parsed(file)[which]["overrides"]["containerOverrides"]
    given = {variable["name"]: variable["value"] for variable in override["environment"]}
    monkeypatch.setenv(task_metadata.ENDPOINT_VARIABLE, "http://169.254.170.2/v4/abc")
    monkeypatch.setattr(task_metadata, "own_arn", lambda: TASK)
    with patch.object(worker, "Worker") as made:
        made.return_value.work.return_value = (worker.Exit.DONE, "Over.")
        command = parsed(file.with_name("containers.json"))[LOCATION]["isolated"]["command"]
        result = CliRunner().invoke(main, command[1:], env=given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    _, run_id, number, task_arn = made.call_args.args
    assert (run_id, number, task_arn()) == (RUN, attempt, TASK)


@each("run_task.json")
def test_a_task_is_found_by_its_run(file: Path) -> None:
    """A task outlives the daemon that launched it: the next one may be of another version."""
    sent = parsed(file)["plain"]
    tags = {tag["key"]: tag["value"] for tag in sent["tags"]}
    state = TaskState(TASK, "RUNNING", tags=tags)
    assert IsolatedTask.of(state, "prod") == IsolatedTask(TASK, RUN, 1)
    assert IsolatedTask.of(state, "other") is None
    assert sent["startedBy"] == started_by(RUN)


@each("run_task.json")
def test_a_launch_that_is_repeated_by_another_version_finds_its_task(file: Path) -> None:
    sent = parsed(file)["plain"]
    launch = IsolatedLaunch(RUN, 1, LOCATION, REVISION, job="report")
    assert request(rendered(), launch)["clientToken"] == sent["clientToken"]


@each("run_task.json")
def test_ecs_takes_the_request(file: Path, environment: None) -> None:
    client = aws.ecs("eu-west-1")
    with Stubber(client) as stubber:
        for sent in parsed(file).values():
            stubber.add_client_error("run_task", "ServerException", expected_params=sent)
            # Checked against ECS's own model before it is sent.
            with pytest.raises(ClientError, match="ServerException"):
                client.run_task(**sent)
