"""A code location for tests: runs that do what their run config says and report where they ran.

Module name: `probe.definitions`. Tests give the directory above this package as an image. A test
that needs "a new release" copies it and writes another text into `probe/VERSION`.

Run config of every job, all of it optional:

    ops:
      work:
        config:
          read_file: rows.txt            # opened first; relative to the working directory
          report_to: /path/place.json    # written when the op has started
          wait_for: /path/go             # goes on when this file exists
          take_mib: 300                  # then takes and uses so much memory
          seconds: 0.5                   # then sleeps
          ignore_signals: true           # SIGINT and SIGTERM do nothing
          fill_memory: true              # takes memory until the task has none left
          exit_code: 0                   # ends the process at once with this code
          fail: true                     # ends with an exception
          log_as: some.library           # a line by this logger of Python's
          append_to: /path/ledger        # gets a line when the op begins, and when it has ended
          leave: [thread, copy]          # what it leaves behind, see leave.py
"""

import json
import logging
import os
import signal
import time
from pathlib import Path

from dagster import (
    AssetExecutionContext,
    AssetSpec,
    AutomationCondition,
    AutomationConditionSensorDefinition,
    Config,
    DagsterLogManager,
    Definitions,
    MaterializeResult,
    OpExecutionContext,
    RunRequest,
    StaticPartitionsDefinition,
    asset,
    define_asset_job,
    in_process_executor,
    job,
    op,
    schedule,
    sensor,
)
from pydantic import Field

from .leave import LEAVE, LEDGER
from .outputs import double, hand_over_job, make, too_early_job
from .place import CODE_VERSION, Place
from .ticks import settings, ticks

# Asks for a non-isolated run (dagster._core.storage.tags.RUN_ISOLATION_TAG).
NON_ISOLATED = {"dagster/isolation": "disabled"}
VERSION_TAG = "probe/code_version"
WAIT_LIMIT_SECONDS = 120.0
POLL_SECONDS = 0.02
MIB = 2**20
TAKE_SECONDS = 0.005
FILL_LIMIT_MIB = 4096


class Work(Config):
    """What one op does. See the module's text.

    Attributes:
        read_file: File to open, relative to the working directory; none when empty.
        report_to: File to write the `Place` to, as JSON; none when empty.
        wait_for: File to wait for, at most WAIT_LIMIT_SECONDS; none when empty.
        seconds: How long to sleep, in seconds.
        ignore_signals: Whether SIGINT and SIGTERM are ignored while the op runs.
        take_mib: How much memory to take, and use, before it sleeps; MiB. Kept until the op ends.
        fill_memory: Whether to take memory until the process is killed for it.
        exit_code: Exit code to end the process with, at once; it goes on when negative.
        fail: Whether to end with an exception.
        log_as: Logger of Python's that gets a warning; none when empty.
        append_to: File that gets a line when the op begins, and another one when it has ended;
            none when empty.
        leave: What it leaves behind: names of functions in leave.py.
    """

    read_file: str = ""
    report_to: str = ""
    wait_for: str = ""
    seconds: float = 0.0
    ignore_signals: bool = False
    take_mib: int = 0
    fill_memory: bool = False
    exit_code: int = -1
    fail: bool = False
    log_as: str = ""
    append_to: str = ""
    leave: list[str] = Field(default_factory=list)

    def do(self, run_id: str, log: DagsterLogManager) -> Place:
        """Do what the config says; return where it was done."""
        if self.ignore_signals:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        if self.read_file:
            Path(self.read_file).read_text()
        place = Place.here(run_id)
        log.info(f"probe ran at {place.as_json()}")
        print(f"probe stdout of run {run_id}", flush=True)
        if self.log_as:
            logging.getLogger(self.log_as).warning(f"probe logs in run {run_id}")
        self._append("began", run_id)
        if self.report_to:
            _write_at_once(Path(self.report_to), place.as_json())
        os.environ[LEDGER] = self.append_to
        for name in self.leave:
            LEAVE[name]()
        if self.leave:
            self._append("left", run_id)
        if self.wait_for:
            _wait_for(Path(self.wait_for))
        taken = _take(self.take_mib)
        time.sleep(self.seconds)
        if self.fill_memory:
            _fill_memory()
        if self.exit_code >= 0:
            os._exit(self.exit_code)
        if self.fail:
            raise RuntimeError("probe: the run config asked for a failure")
        del taken
        self._append("ended", run_id)
        return place

    def _append(self, what: str, run_id: str) -> None:
        """Append a line, which does not mix with those of other processes."""
        if self.append_to:
            file = os.open(self.append_to, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
            os.write(file, f"{what} {run_id} {time.time()}\n".encode())
            os.close(file)


def _write_at_once(path: Path, text: str) -> None:
    """Write a file so that whoever sees it sees all of it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(text)
    draft.rename(path)


def _wait_for(path: Path) -> None:
    """Return when `path` exists.

    Raises:
        TimeoutError: It did not appear in WAIT_LIMIT_SECONDS, so that no forgotten run stays.
    """
    deadline = time.monotonic() + WAIT_LIMIT_SECONDS
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"probe: {path} did not appear in {WAIT_LIMIT_SECONDS} s")
        time.sleep(POLL_SECONDS)


def _take(mib: int) -> list[bytearray]:
    """Take memory, and use it, about as fast as a quarter of a vCPU does."""
    taken = []
    for _ in range(mib):
        taken.append(bytearray(b"x" * MIB))
        time.sleep(TAKE_SECONDS)
    return taken


def _fill_memory() -> None:
    """Take memory, and use it, at most FILL_LIMIT_MIB where nothing limits it."""
    taken = [bytearray(b"x" * MIB) for _ in range(FILL_LIMIT_MIB)]
    raise MemoryError(f"probe: {len(taken)} MiB are taken, and nobody minds")


@op
def work(context: OpExecutionContext, config: Work) -> None:
    """Do what the run config says."""
    config.do(context.run.run_id, context.log)


@op
def more_work(context: OpExecutionContext, config: Work) -> None:
    """Do what the run config says, beside `work`."""
    config.do(context.run.run_id, context.log)


@op(pool="probe")
def pooled(context: OpExecutionContext, config: Work) -> None:
    """Do what the run config says, in the pool `probe`."""
    config.do(context.run.run_id, context.log)


@job(executor_def=in_process_executor, tags={VERSION_TAG: CODE_VERSION})
def work_job() -> None:
    """One op, in the run's own process."""
    work()


@job(tags={VERSION_TAG: CODE_VERSION})
def steps_job() -> None:
    """Two ops with Dagster's default executor: a process for each."""
    work()
    more_work()


@job(executor_def=in_process_executor, tags={"probe/group": "limited"})
def limited_job() -> None:
    """For tag limits of Dagster's queue on `probe/group`."""
    work()


@job(executor_def=in_process_executor)
def pooled_job() -> None:
    """For pool limits of Dagster's queue on `probe`."""
    pooled()


@asset(partitions_def=StaticPartitionsDefinition(["a", "b"]), code_version=CODE_VERSION)
def partitioned(context: AssetExecutionContext, config: Work) -> MaterializeResult[None]:
    """For backfills."""
    return MaterializeResult(
        metadata={"place": config.do(context.run.run_id, context.log).as_json()}
    )


@asset(code_version=CODE_VERSION, group_name="plain")
def upstream(context: AssetExecutionContext, config: Work) -> MaterializeResult[None]:
    """Materialize it, and the automation requests `automated`."""
    context.log.info(f"probe has {json.dumps(settings(context.instance))}")
    return MaterializeResult(
        metadata={"place": config.do(context.run.run_id, context.log).as_json()}
    )


@asset(deps=[upstream], group_name="plain", automation_condition=AutomationCondition.eager())
def automated(context: AssetExecutionContext) -> MaterializeResult[None]:
    """Materialized by the automation."""
    return MaterializeResult(
        metadata={"place": Work().do(context.run.run_id, context.log).as_json()}
    )


partitioned_job = define_asset_job("partitioned_job", selection=[partitioned], tags=NON_ISOLATED)


@sensor(job=work_job, minimum_interval_seconds=1)
def requests_a_run() -> RunRequest:
    """Request one non-isolated run, ever (one run key)."""
    return RunRequest(run_key="once", tags=NON_ISOLATED)


@schedule(job=work_job, cron_schedule="* * * * *")
def every_minute() -> RunRequest:
    """Request a non-isolated run every minute."""
    return RunRequest(tags=NON_ISOLATED)


numbers = make("numbers")
doubled = double("doubled", of="numbers")
numbers_job = define_asset_job("numbers_job", selection=[numbers])
doubled_job = define_asset_job("doubled_job", selection=[doubled])

automation = AutomationConditionSensorDefinition(
    "automation", target=[automated], run_tags=NON_ISOLATED, minimum_interval_seconds=1
)

schedules, sensors = ticks(work_job, after="upstream")

defs = Definitions(
    assets=[
        *(partitioned, upstream, automated, numbers, doubled),
        *(AssetSpec("other_numbers"), double("doubled_of_other", of="other_numbers")),
    ],
    jobs=[
        work_job,
        steps_job,
        limited_job,
        pooled_job,
        partitioned_job,
        hand_over_job,
        too_early_job,
        numbers_job,
        doubled_job,
    ],
    schedules=[every_minute, *schedules],
    sensors=[requests_a_run, automation, *sensors],
)
