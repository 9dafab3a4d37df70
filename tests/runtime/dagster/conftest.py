"""One local account and one standing container for all tests here; a Dagster home for each test."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
import yaml
from dagster import DagsterInstance
from dagster._core.workspace.context import WorkspaceProcessContext
from dagster._core.workspace.load_target import GrpcServerTarget

from run_isolation import NonIsolatedRuns
from run_isolation.dagster.deployment import MANIFEST
from run_isolation.dagster.home.merge import write_home
from run_isolation.table import HASH_KEY, SLOTS_KEY
from tests.runtime.dagster.account import LOCATION, PARAMETER, PORT, TABLE, Account, Stack
from tests.runtime.dagster.launches import Launches
from tests.waiting import PATIENCE_SECONDS, eventually

PROBE = Path(__file__).parents[2] / "locations" / "probe"


@pytest.fixture(scope="session")
def session_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    images = tmp_path_factory.mktemp("images")
    shutil.copytree(PROBE, images / LOCATION)
    directory = tmp_path_factory.mktemp("account")
    with Account.running(directory, images, warm=True) as account:
        storage = tmp_path_factory.mktemp("storage")
        stack = Stack(account, storage / "now")
        stack.store_in(storage / "before")
        stack.up()
        yield stack
        assert account.denied() == []


@pytest.fixture(scope="session")
def standing_task(session_stack: Stack) -> str:
    """ARN of a standing task whose server answers."""
    return serve(session_stack)


@pytest.fixture
def stack(
    session_stack: Stack,
    environment: None,
    empty_database: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stack]:
    """The deployment with its own database, room for one non-isolated run, no holders or faults."""
    # Complete before it is found: what a test before has left going may open it at once.
    shutil.copytree(empty_database, tmp_path / "sqlite")
    session_stack.store_in(tmp_path / "sqlite")
    session_stack.publish()
    for name, value in session_stack.launcher.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv(MANIFEST, PARAMETER)
    session_stack.account.forget()
    session_stack.slots.client.delete_item(TableName=TABLE, Key={HASH_KEY: {"S": SLOTS_KEY}})
    session_stack.configure(NonIsolatedRuns(enabled=True))
    session_stack.forget_tasks()
    session_stack.account.forget()
    yield session_stack
    # Some wait for what never comes, and would be in the next test's way.
    session_stack.account.forget()
    for task_arn in session_stack.isolated_tasks("RUNNING"):
        session_stack.ecs.stop_task(cluster=session_stack.cluster, task=task_arn)


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Dagster's tables in SQLite, which take a second to make."""
    directory = tmp_path_factory.mktemp("empty")
    storage = {"sqlite": {"base_dir": str(directory / "sqlite")}}
    (directory / "dagster.yaml").write_text(yaml.safe_dump({"storage": storage}))
    with DagsterInstance.from_config(str(directory)) as instance:
        instance.get_runs_count()
        instance.event_log_storage.get_concurrency_keys()
    return directory / "sqlite"


@pytest.fixture(scope="session")
def process_context(
    session_stack: Stack, standing_task: str, empty_database: Path
) -> Iterator[WorkspaceProcessContext]:
    """A workspace with the standing container."""
    target = GrpcServerTarget(
        host=session_stack.address(standing_task),
        port=PORT,
        socket=None,
        location_name=LOCATION,
    )
    with (
        DagsterInstance.from_config(str(empty_database.parent)) as instance,
        WorkspaceProcessContext(instance, target) as process_context,
    ):
        yield process_context


@pytest.fixture
def home(stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Dagster home as `run-isolation dagster-home` writes it."""
    directory = tmp_path / "home"
    write_home(directory, stack.manifest, stack.instance)
    monkeypatch.setenv("DAGSTER_HOME", str(directory))
    return directory


@pytest.fixture
def instance(home: Path) -> Iterator[DagsterInstance]:
    with DagsterInstance.get() as instance:
        yield instance


@pytest.fixture
def launches(
    instance: DagsterInstance, process_context: WorkspaceProcessContext, stack: Stack
) -> Launches:
    """Creates and submits runs of the standing container's jobs."""
    stack.account.forget()
    return Launches(instance, process_context)


def serve(stack: Stack) -> str:
    """Starts a standing task and waits until its server answers."""
    task_arn = stack.run_task(stack.standing_definition)
    wait_until_served(stack, task_arn)
    return task_arn


def wait_until_served(stack: Stack, task_arn: str) -> None:
    """Waits until a standing task's server answers."""
    eventually(lambda: stack.describe(task_arn)["lastStatus"] in ("RUNNING", "STOPPED"))
    with grpc.insecure_channel(f"{stack.address(task_arn)}:{PORT}") as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=PATIENCE_SECONDS)
        except grpc.FutureTimeoutError:
            pytest.fail(stack.output("standing", task_arn))
