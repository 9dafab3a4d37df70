"""What a person does in Dagster's page, by the same GraphQL operations."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

REPOSITORY = "__repository__"
DEADLINE_SECONDS = 60.0


class PageError(Exception):
    """GraphQL answered with something else than the success that was asked for."""


@dataclass(frozen=True)
class Page:
    """The page of one webserver.

    Attributes:
        url: Its address.
        deadline_seconds: How long one answer may take.
    """

    url: str
    deadline_seconds: float = DEADLINE_SECONDS

    def ask(self, query: str, **variables: Any) -> Any:
        """The `data` of one GraphQL operation.

        Raises:
            PageError: It has errors.
            OSError: The webserver does not answer.
        """
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(
            f"{self.url}/graphql", body, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=self.deadline_seconds) as response:
                answer = json.load(response)
        except urllib.error.HTTPError as error:
            raise PageError(error.read().decode()) from error
        if answer.get("errors"):
            raise PageError(json.dumps(answer["errors"], indent=1))
        return answer["data"]

    def change(self, field: str, success: str, query: str, **variables: Any) -> Any:
        """The answer to a mutation.

        Raises:
            PageError: It is not of the type `success`.
        """
        answer = self.ask(query, **variables)[field]
        if answer["__typename"] != success:
            raise PageError(json.dumps(answer, indent=1))
        return answer

    @property
    def answers(self) -> bool:
        """Whether there is a page already."""
        try:
            return bool(self.ask("{version}"))
        except (OSError, PageError):
            return False

    def job_tags(self, job: str, *, location: str) -> Mapping[str, str] | None:
        """The tags of a job; None where its code location is not loaded, or as an error."""
        found = self.ask(JOB, params=_selector(job, location))["pipelineOrError"]
        if found["__typename"] != "Pipeline":
            return None
        return {tag["key"]: tag["value"] for tag in found["tags"]}

    def launch(
        self,
        job: str,
        *,
        location: str,
        assets: Sequence[str] = (),
        tags: Mapping[str, str] | None = None,
        config: Mapping[str, Any] | None = None,
    ) -> str:
        """Press "Launch Run" in a job's Launchpad, or "Materialize". Returns the run's id."""
        selector = _selector(job, location)
        if assets:
            selector["assetSelection"] = [{"path": [asset]} for asset in assets]
        params = {
            "selector": selector,
            "runConfigData": json.dumps(config or {}),
            "mode": "default",
            "executionMetadata": {"tags": _pairs({"dagster/from_ui": "true", **(tags or {})})},
        }
        answer = self.change("launchPipelineExecution", "LaunchRunSuccess", LAUNCH, params=params)
        return str(answer["run"]["runId"])

    def reexecute(
        self, run_id: str, tags: Mapping[str, str] | None = None, strategy: str = "ALL_STEPS"
    ) -> str:
        """Press "Re-execute" on a run's page. Returns the new run's id."""
        params = {
            "parentRunId": run_id,
            "strategy": strategy,
            "extraTags": _pairs(tags or {}),
            "useParentRunTags": True,
        }
        answer = self.change(
            "launchPipelineReexecution", "LaunchRunSuccess", REEXECUTE, params=params
        )
        return str(answer["run"]["runId"])

    def terminate(self, run_id: str, *, force: bool = False) -> None:
        """Press "Terminate"."""
        policy = "MARK_AS_CANCELED_IMMEDIATELY" if force else "SAFE_TERMINATE"
        self.change(
            "terminateRun", "TerminateRunSuccess", TERMINATE, runId=run_id, terminatePolicy=policy
        )

    def delete(self, run_id: str) -> None:
        """Press "Delete"."""
        self.change("deleteRun", "DeletePipelineRunSuccess", DELETE, runId=run_id)

    def backfill(
        self, job: str, partition: str, *, location: str, config: Mapping[str, Any] | None = None
    ) -> str:
        """Press "Launch backfill" for one partition of a job. Returns the backfill's id."""
        params = {
            "selector": {
                "partitionSetName": f"{job}_partition_set",
                "repositorySelector": {
                    "repositoryLocationName": location,
                    "repositoryName": REPOSITORY,
                },
            },
            "partitionNames": [partition],
            "runConfigData": config or {},
        }
        answer = self.change(
            "launchPartitionBackfill", "LaunchBackfillSuccess", BACKFILL, params=params
        )
        return str(answer["backfillId"])

    def switch(self, kind: str, name: str, *, location: str, on: bool) -> None:
        """Switch a schedule or a sensor.

        Args:
            kind: `schedule` or `sensor`.
            name: Its name.
            location: Its code location.
            on: Whether it ticks from now on.
        """
        selector = {
            "repositoryLocationName": location,
            "repositoryName": REPOSITORY,
            f"{kind}Name": name,
        }
        if on:
            success = "Sensor" if kind == "sensor" else "ScheduleStateResult"
            field, query = (
                ("startSensor", START_SENSOR)
                if kind == "sensor"
                else ("startSchedule", START_SCHEDULE)
            )
            self.change(field, success, query, selector=selector)
            return
        found = self.ask(SENSOR if kind == "sensor" else SCHEDULE, selector=selector)
        state = found[f"{kind}OrError"][f"{kind}State"]
        if kind == "sensor":
            self.change("stopSensor", "StopSensorMutationResult", STOP_SENSOR, id=state["id"])
        else:
            self.change("stopRunningSchedule", "ScheduleStateResult", STOP_SCHEDULE, id=state["id"])

    def tick(self, sensor: str, *, location: str, cursor: str | None = None) -> Mapping[str, Any]:
        """Press "Test sensor": what the tick gives."""
        selector = {
            "repositoryLocationName": location,
            "repositoryName": REPOSITORY,
            "sensorName": sensor,
        }
        answer = self.change(
            "sensorDryRun", "DryRunInstigationTick", TICK, selector=selector, cursor=cursor
        )
        result: Mapping[str, Any] = answer["evaluationResult"]
        return result

    def scheduled(self, schedule: str, *, location: str) -> Mapping[str, Any]:
        """Press "Test schedule": what a tick of now gives."""
        selector = {
            "repositoryLocationName": location,
            "repositoryName": REPOSITORY,
            "scheduleName": schedule,
        }
        answer = self.change(
            "scheduleDryRun",
            "DryRunInstigationTick",
            SCHEDULED,
            **{"selector": selector, "at": time.time()},
        )
        result: Mapping[str, Any] = answer["evaluationResult"]
        return result

    def pool_limits(self) -> dict[str, tuple[int, bool]]:
        """By pool: its limit, and whether it is the default."""
        limits = self.ask(LIMITS)["instance"]["concurrencyLimits"]
        return {
            one["concurrencyKey"]: (one["limit"], one["usingDefaultLimit"])
            for one in limits
            if one["limit"] is not None
        }

    def run(self, run_id: str) -> Mapping[str, Any] | None:
        """A run's status and tags; None when it is deleted."""
        found = self.ask(RUN, runId=run_id)["runOrError"]
        return found if found["__typename"] == "Run" else None

    def run_ids(self, **tags: str) -> list[str]:
        """The runs with these tags, the newest first."""
        found = self.ask(RUNS, filter={"tags": _pairs(tags)} if tags else {})
        return [run["runId"] for run in found["runsOrError"]["results"]]

    def errors(self, run_id: str) -> list[str]:
        """What was raised in a run, with where."""
        found = self.ask(ERRORS, runId=run_id)["logsForRun"]["events"]
        chains = [[error, *(one["error"] for one in error["errorChain"])] for error in _of(found)]
        return ["".join([one["message"], *one["stack"]]) for chain in chains for one in chain]

    def events(self, run_id: str) -> list[tuple[str, str]]:
        """A run's event log, in order: the type of each event (`RUN_ENQUEUED`) and its message."""
        found = self.ask(EVENTS, runId=run_id)["logsForRun"]
        return [
            (event["eventType"] or "", event["message"])
            for event in found["events"]
            if "message" in event
        ]


def _of(events: Sequence[Mapping[str, Any]]) -> list[Any]:
    return [event["error"] for event in events if event.get("error")]


def _selector(job: str, location: str) -> dict[str, Any]:
    return {
        "repositoryLocationName": location,
        "repositoryName": REPOSITORY,
        "pipelineName": job,
    }


def _pairs(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in tags.items()]


_ERROR = "__typename ... on Error { message }"

JOB = """
query Job($params: PipelineSelector!) {
  pipelineOrError(params: $params) { __typename ... on Pipeline { tags { key value } } }
}"""

LAUNCH = f"""
mutation LaunchPipelineExecution($params: ExecutionParams!) {{
  launchPipelineExecution(executionParams: $params) {{
    {_ERROR} ... on LaunchRunSuccess {{ run {{ runId }} }}
    ... on RunConfigValidationInvalid {{ errors {{ message }} }}
  }}
}}"""

REEXECUTE = f"""
mutation LaunchPipelineReexecution($params: ReexecutionParams!) {{
  launchPipelineReexecution(reexecutionParams: $params) {{
    {_ERROR} ... on LaunchRunSuccess {{ run {{ runId }} }}
  }}
}}"""

TERMINATE = f"""
mutation Terminate($runId: String!, $terminatePolicy: TerminateRunPolicy) {{
  terminateRun(runId: $runId, terminatePolicy: $terminatePolicy) {{
    {_ERROR} ... on TerminateRunFailure {{ message }}
  }}
}}"""

DELETE = f"mutation Delete($runId: String!) {{ deleteRun(runId: $runId) {{ {_ERROR} }} }}"

BACKFILL = f"""
mutation LaunchPartitionBackfill($params: LaunchBackfillParams!) {{
  launchPartitionBackfill(backfillParams: $params) {{
    {_ERROR} ... on LaunchBackfillSuccess {{ backfillId }}
  }}
}}"""

START_SCHEDULE = f"""
mutation StartSchedule($selector: ScheduleSelector!) {{
  startSchedule(scheduleSelector: $selector) {{ {_ERROR} }}
}}"""

STOP_SCHEDULE = f"""
mutation StopSchedule($id: String!) {{ stopRunningSchedule(id: $id) {{ {_ERROR} }} }}"""

START_SENSOR = f"""
mutation StartSensor($selector: SensorSelector!) {{
  startSensor(sensorSelector: $selector) {{ {_ERROR} }}
}}"""

STOP_SENSOR = f"mutation StopSensor($id: String!) {{ stopSensor(id: $id) {{ {_ERROR} }} }}"

SCHEDULE = f"""
query Schedule($selector: ScheduleSelector!) {{
  scheduleOrError(scheduleSelector: $selector) {{
    {_ERROR} ... on Schedule {{ scheduleState {{ id }} }}
  }}
}}"""

SENSOR = f"""
query Sensor($selector: SensorSelector!) {{
  sensorOrError(sensorSelector: $selector) {{ {_ERROR} ... on Sensor {{ sensorState {{ id }} }} }}
}}"""

TICK = f"""
mutation Tick($selector: SensorSelector!, $cursor: String) {{
  sensorDryRun(selectorData: $selector, cursor: $cursor) {{
    {_ERROR}
    ... on DryRunInstigationTick {{
      evaluationResult {{ skipReason cursor runRequests {{ runKey }} error {{ message }} }}
    }}
  }}
}}"""

SCHEDULED = f"""
mutation Scheduled($selector: ScheduleSelector!, $at: Float!) {{
  scheduleDryRun(selectorData: $selector, timestamp: $at) {{
    {_ERROR}
    ... on DryRunInstigationTick {{ evaluationResult {{ skipReason error {{ message }} }} }}
  }}
}}"""

LIMITS = """
query Limits { instance { concurrencyLimits { concurrencyKey limit usingDefaultLimit } } }"""

RUN = """
query Run($runId: ID!) {
  runOrError(runId: $runId) {
    __typename ... on Run { status tags { key value } }
  }
}"""

RUNS = """
query Runs($filter: RunsFilter!) {
  runsOrError(filter: $filter, limit: 100) { __typename ... on Runs { results { runId } } }
}"""

ERRORS = """
query Errors($runId: ID!) {
  logsForRun(runId: $runId) {
    ... on EventConnection {
      events {
        ... on ErrorEvent { error { message stack errorChain { error { message stack } } } }
      }
    }
  }
}"""

EVENTS = """
query Events($runId: ID!) {
  logsForRun(runId: $runId) {
    ... on EventConnection { events { ... on MessageEvent { eventType message } } }
  }
}"""
