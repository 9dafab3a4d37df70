"""The webserver: Dagster's own."""

from __future__ import annotations

from collections.abc import Sequence

from dagster_webserver.cli import dagster_webserver


def run(options: Sequence[str]) -> None:
    """Runs ``dagster-webserver``, every option and environment variable of which is kept.

    The page's own parts go in by :func:`run_isolation.dagster.seam.replaced` for
    ``dagster_webserver.app.DagsterWebserver``, the class that Dagster's app factory makes.

    Args:
        options: Of ``dagster-webserver``.
    """
    dagster_webserver.main(
        list(options),
        prog_name="run-isolation webserver",
        auto_envvar_prefix="DAGSTER_WEBSERVER",
    )
