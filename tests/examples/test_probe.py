"""The tests' own code location must do what it says, or the tests that use it prove nothing."""

import json
import os
import signal
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import pytest
from dagster import DagsterInstance, RunRequest, build_op_context, build_sensor_context

from tests.examples.locations import Load, MaterializeAlone


@pytest.fixture
def probe(load: Load) -> ModuleType:
    return load("tests/locations/probe", "probe.definitions")


@pytest.fixture
def metadata_endpoint() -> Iterator[str]:
    """A task metadata endpoint that knows one task."""

    class Task(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path == "/v4/abc/task"
            task = {"TaskARN": "arn:task/1", "Family": "f", "Revision": "7"}
            self.send_response(200)
            self.end_headers()
            self.wfile.write(json.dumps(task | {"Limits": {"CPU": 4, "Memory": 16384}}).encode())

        def log_message(self, *_: object) -> None:
            """Keep the test's output quiet."""

    with HTTPServer(("127.0.0.1", 0), Task) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v4/abc"
        server.shutdown()
        thread.join()


def test_report_says_where_the_run_is(
    probe: ModuleType,
    instance: DagsterInstance,
    tmp_path: Path,
    metadata_endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("ECS_CONTAINER_METADATA_URI_V4", metadata_endpoint)
    report = tmp_path / "place.json"
    result = probe.work_job.execute_in_process(
        run_config={"ops": {"work": {"config": {"report_to": str(report)}}}}, instance=instance
    )

    place = json.loads(report.read_text())
    assert place["run_id"] == result.run_id
    assert (place["pid"], place["code_version"]) == (os.getpid(), "1")
    assert (place["task_arn"], place["family"], place["revision"]) == ("arn:task/1", "f", "7")
    assert (place["cpu"], place["memory_mib"]) == (4, 16384)
    assert f"probe stdout of run {result.run_id}" in capfd.readouterr().out


def test_outside_of_a_task_there_is_no_task(
    probe: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ECS_CONTAINER_METADATA_URI_V4", raising=False)
    assert probe.Place.here("run").task_arn is None


def test_work_goes_on_when_the_file_appears(
    probe: ModuleType, instance: DagsterInstance, tmp_path: Path
) -> None:
    report, go = tmp_path / "place.json", tmp_path / "go"
    config = {"report_to": str(report), "wait_for": str(go)}
    ended = threading.Event()

    def run() -> None:
        run_config = {"ops": {"work": {"config": config}}}
        probe.work_job.execute_in_process(run_config=run_config, instance=instance)
        ended.set()

    thread = threading.Thread(target=run)
    thread.start()
    while not report.exists():
        assert not ended.wait(0.02)
    assert not ended.wait(0.2), "it did not wait for the file"
    go.touch()
    assert ended.wait(10)
    thread.join()


def test_waiting_has_an_end(
    probe: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(probe, "WAIT_LIMIT_SECONDS", 0.05)
    with pytest.raises(TimeoutError, match="did not appear"):
        probe.Work(wait_for=str(tmp_path / "never")).do("run", build_op_context().log)


def test_failure_is_asked_for(probe: ModuleType, instance: DagsterInstance) -> None:
    result = probe.steps_job.execute_in_process(
        run_config={"ops": {"work": {"config": {"fail": True}}}},
        instance=instance,
        raise_on_error=False,
    )
    assert not result.success
    assert [event.step_key for event in result.get_step_failure_events()] == ["work"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ignored_signals_do_nothing(probe: ModuleType, number: signal.Signals) -> None:
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        signal.signal(number, lambda *_: pytest.fail(f"{number.name} was delivered"))
        probe.Work(ignore_signals=True).do("run", build_op_context().log)
        os.kill(os.getpid(), number)
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def test_requests_of_sensor_schedule_and_automation_ask_not_to_be_isolated(
    probe: ModuleType,
) -> None:
    from_sensor = probe.requests_a_run(build_sensor_context())
    from_schedule = probe.every_minute()
    assert isinstance(from_sensor, RunRequest)
    assert isinstance(from_schedule, RunRequest)
    assert from_sensor.tags == from_schedule.tags == {"dagster/isolation": "disabled"}
    assert probe.automation.run_tags == {"dagster/isolation": "disabled"}
    assert probe.defs.resolve_job_def("partitioned_job").tags == {"dagster/isolation": "disabled"}


def test_limits_can_find_their_runs(probe: ModuleType) -> None:
    assert probe.limited_job.tags == {"probe/group": "limited"}
    assert probe.pooled.pool == "probe"


def test_assets_run_where_the_run_is(
    probe: ModuleType, materialize_alone: MaterializeAlone
) -> None:
    for name in ("upstream", "automated"):
        place = json.loads(materialize_alone(probe.defs, name)["place"])
        assert place["pid"] == os.getpid()
