"""The webserver: Dagster's own, with the toggle in its page.

It also learns of new code locations and redeploys by itself.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

import dagster._api.list_repositories
import dagster._grpc.client
import dagster._grpc.server_watcher
import dagster_webserver.app
from dagster._core.workspace.context import WorkspaceProcessContext, WorkspaceRequestContext
from dagster._grpc.client import DagsterGrpcClient
from dagster_webserver.cli import dagster_webserver as dagster_webserver_command
from dagster_webserver.webserver import DagsterWebserver
from starlette.requests import Request
from starlette.responses import HTMLResponse
from starlette.routing import BaseRoute

from run_isolation.dagster.channels import connecting_soon
from run_isolation.dagster.deployment import Deployment
from run_isolation.dagster.home.workspace_watch import WorkspaceWatch, workspace_watch
from run_isolation.dagster.patching import replaced
from run_isolation.dagster.toggle.cached_table import Board
from run_isolation.dagster.toggle.endpoints import Endpoints
from run_isolation.dagster.toggle.pages import UnknownPageError, with_toggle
from run_isolation.dagster.web.one_server_client import OneServerClient, load_from_one_server
from run_isolation.dagster.web.patient_launch import patient
from run_isolation.dagster.web.settled_watch import create_watch_thread

_log: Final = logging.getLogger(__name__)


class RunIsolationWebserver(DagsterWebserver[WorkspaceProcessContext, WorkspaceRequestContext]):
    """What Dagster's app factory makes in place of its own class."""

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

    def build_routes(self) -> list[BaseRoute]:
        """Dagster's, with the toggle's before them."""
        theirs: list[BaseRoute] = super().build_routes()  # type: ignore[no-untyped-call]
        ours = Endpoints(self.request_context, Board(Deployment()))
        return [*ours.routes(self._app_path_prefix), *theirs]

    def index_html_endpoint(self, request: Request) -> HTMLResponse:
        """Dagster's page with the toggle; where it is not built as we know it, as it is."""
        page: HTMLResponse = super().index_html_endpoint(request)
        try:
            html = with_toggle(
                bytes(page.body).decode(),
                page.headers.get("Content-Security-Policy", ""),
                self._app_path_prefix,
            )
        except UnknownPageError as error:
            _log.warning("The page has no toggle. %s", error)
            return page
        del page.headers["Content-Length"]
        return HTMLResponse(html, page.status_code, headers=page.headers)


def run(options: Sequence[str]) -> None:
    """Runs ``dagster-webserver``, every option and environment variable of which is kept.

    Args:
        options: Of ``dagster-webserver``.
    """
    webserver = partial(RunIsolationWebserver, workspace_watch())
    plan = patient(DagsterGrpcClient.execution_plan_snapshot)
    with (
        connecting_soon(),
        replaced(dagster_webserver.app, "DagsterWebserver", webserver),
        replaced(dagster._grpc.client, "DagsterGrpcClient", OneServerClient),
        replaced(
            dagster._api.list_repositories, "sync_list_repositories_grpc", load_from_one_server
        ),
        replaced(DagsterGrpcClient, "execution_plan_snapshot", plan),
        replaced(dagster._grpc.server_watcher, "create_grpc_watch_thread", create_watch_thread),
    ):
        dagster_webserver_command.main(
            list(options),
            prog_name="run-isolation webserver",
            auto_envvar_prefix="DAGSTER_WEBSERVER",
        )
