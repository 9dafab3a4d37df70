"""A code location is loaded from one server, which also executes what the page shows of it.

Dagster's client finds the server anew with each call. During a redeploy two answer to the name of
the location, so the page could show what one of them serves, and a launch could reach the other.
"""

from __future__ import annotations

from typing import Any, Final, NoReturn

import grpc
from dagster._api.list_repositories import sync_list_repositories_grpc
from dagster._grpc.client import DagsterGrpcClient

from run_isolation import start_run_timers
from run_isolation.dagster.standing.client import is_there
from run_isolation.server_identity import ServerIdentity

load_repositories: Final = sync_list_repositories_grpc
"""Dagster's own: the first call of the load of a location."""


class OneServerClient(DagsterGrpcClient):
    """Dagster's client, which can be told to stay with one server."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._name = self._server_address

    def stay(self) -> None:
        """From now on asks the server that the name leads to now, by its own address.

        Where that is no standing server of ours, or can't be reached there, each call goes by the
        name, as in Dagster's client.
        """
        server = ServerIdentity.from_server_id(
            self.get_server_id(timeout=start_run_timers.ASK_SECONDS)
        )
        if server is not None and is_there(server):
            self._server_address = server.address

    def _raise_grpc_exception(self, e: Exception, *args: Any, **kwargs: Any) -> NoReturn:
        if isinstance(e, grpc.RpcError) and e.code() is grpc.StatusCode.UNAVAILABLE:
            self._server_address = self._name
        super()._raise_grpc_exception(e, *args, **kwargs)


def load_from_one_server(client: DagsterGrpcClient) -> Any:
    """In place of ``load_repositories``: all that is loaded after it comes from the same server."""
    if isinstance(client, OneServerClient):
        client.stay()
    return load_repositories(client)
