"""The webserver: Dagster's own, which learns of new code locations and redeploys by itself."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import dagster._grpc.server_watcher
import dagster_webserver.app
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._grpc.client import DagsterGrpcClient
from dagster_webserver.cli import dagster_webserver as dagster_webserver_command
from dagster_webserver.webserver import DagsterWebserver

from run_isolation.dagster.patient_launch import patient
from run_isolation.dagster.seam import replaced
from run_isolation.dagster.settled_watch import create_watch_thread
from run_isolation.dagster.workspace_watch import WorkspaceWatch, workspace_watch


class RunIsolationWebserver(DagsterWebserver[WorkspaceProcessContext, WorkspaceRequestContext]):
    """What Dagster's app factory makes in place of its own class. The page's parts go in here."""

    def __init__(
        self,
        watch: WorkspaceWatch | None,
        process_context: WorkspaceProcessContext,
        *args: Any,
        **kwargs: Any,
    ) -> None:
        super().__init__(process_context, *args, **kwargs)
        if watch is not None:
            watch.start(on_change=process_context.refresh_workspace)


def run(options: Sequence[str]) -> None:
    """Runs ``dagster-webserver``, every option and environment variable of which is kept.

    Args:
        options: Of ``dagster-webserver``.
    """
    webserver = partial(RunIsolationWebserver, workspace_watch())
    plan = patient(DagsterGrpcClient.execution_plan_snapshot)
    with (
        replaced(dagster_webserver.app, "DagsterWebserver", webserver),
        replaced(DagsterGrpcClient, "execution_plan_snapshot", plan),
        replaced(dagster._grpc.server_watcher, "create_grpc_watch_thread", create_watch_thread),
    ):
        dagster_webserver_command.main(
            list(options),
            prog_name="run-isolation webserver",
            auto_envvar_prefix="DAGSTER_WEBSERVER",
        )
