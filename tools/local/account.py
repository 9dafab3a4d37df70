"""The local AWS account: a background process that the local deployment lives in."""

from __future__ import annotations

import sys

import boto3
import tenacity
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from pydantic import BaseModel, ValidationError
from rich.console import Console

from tools.environments import EnvironmentFailedError, ensure_environment
from tools.local.dagster_processes import stop_dagster
from tools.local.errors import StepError
from tools.local.files import CHECKOUT, LocalFiles
from tools.local.processes import Processes
from tools.progress import working

NAME = "account"
START_PATIENCE = 60.0
"""Seconds from the start of the process to its ready.json. About 3 on two cores."""
STOP_PATIENCE = 40.0
"""Seconds for its tasks to end: ECS gives a container 30 before SIGKILL (stopTimeout)."""


class Account(BaseModel):
    """What a running local account says about itself, in ready.json."""

    pid: int
    endpoint_url: str
    provider_port: int
    dns: str
    """Address of the server that resolves names of service discovery, host:port."""
    environment: dict[str, str]
    """Variables that make AWS clients talk to this account."""
    remarks: list[str] = []
    """What it can't do on this machine, a line each."""

    @property
    def session(self) -> boto3.Session:
        """A session for clients of this account. Pass `endpoint_url` to each client."""
        return boto3.Session(
            aws_access_key_id=self.environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=self.environment["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=self.environment["AWS_SESSION_TOKEN"],
            region_name=self.environment["AWS_REGION"],
        )


def running_account(files: LocalFiles, processes: Processes) -> Account | None:
    """The account that `make up` started, where it runs and answers."""
    process = processes.running(NAME)
    account = _read(files)
    if process is None or account is None or account.pid != process.pid:
        return None
    return account if _answers(account) else None


def ensure_account(
    files: LocalFiles, processes: Processes, console: Console
) -> tuple[Account, bool]:
    """Reuse the running account, or start a fresh one with an empty Pulumi backend.

    Returns:
        The account, and whether it is a fresh one.

    Raises:
        StepError: it did not start.
    """
    if account := running_account(files, processes):
        return account, False
    # What still works on an account that is gone must not write to the storage of the next one.
    stop_dagster(processes)
    stop_account(files, processes)
    command = [sys.executable, "-m", "localaws", "--state-dir", str(files.directory)]
    command += ["--image-root", str(CHECKOUT), "--mount", str(files.dagster_storage)]
    with working(console, "Installing what the images of code locations have"):
        try:
            command += ["--python", str(ensure_environment("code-location"))]
        except EnvironmentFailedError as error:
            raise StepError(str(error)) from error
    with working(console, "Starting the local AWS account"):
        processes.start(NAME, command, directory=CHECKOUT, log=files.account_log)
        try:
            return _wait_until_ready(files, processes), True
        except StepError:
            stop_account(files, processes)
            raise


def stop_account(files: LocalFiles, processes: Processes) -> int | None:
    """Stop the account with its tasks, and forget Pulumi's state of it.

    Returns:
        The process id, or None where it did not run.
    """
    pid = processes.stop(NAME, patience=STOP_PATIENCE)
    files.forget_account()
    return pid


def _wait_until_ready(files: LocalFiles, processes: Processes) -> Account:
    def look() -> Account:
        process = processes.running(NAME)
        if process is None:
            raise StepError(
                f"it exited before it was ready:\n{_last_lines(files)}", files.account_log
            )
        account = _read(files)
        if account is None or account.pid != process.pid:
            raise tenacity.TryAgain
        return account

    retrying = tenacity.Retrying(
        retry=tenacity.retry_never,
        stop=tenacity.stop_after_delay(START_PATIENCE),
        wait=tenacity.wait_fixed(0.1),
    )
    try:
        return retrying(look)
    except tenacity.RetryError as error:
        raise StepError(
            f"it was not ready within {START_PATIENCE:g} s", files.account_log
        ) from error


def _read(files: LocalFiles) -> Account | None:
    try:
        return Account.model_validate_json(files.ready.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def _answers(account: Account) -> bool:
    config = Config(connect_timeout=2, read_timeout=2, retries={"total_max_attempts": 1})
    client = account.session.client("sts", endpoint_url=account.endpoint_url, config=config)
    try:
        client.get_caller_identity()
    except (BotoCoreError, ClientError):
        return False
    return True


def _last_lines(files: LocalFiles) -> str:
    return "\n".join(files.account_log.read_text(errors="replace").strip().splitlines()[-5:])
