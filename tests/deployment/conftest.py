"""The local account with the stand-in provider, images of two code locations, and stacks."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from localaws.account import LocalAccount
from localaws.provider.server import serve
from tests.deployment.stack import PROJECT, DeployedStack
from tests.deployment.warm_host import warm_host
from tools.pulumi_cli import PulumiCli, ensure_pulumi


@pytest.fixture(scope="session")
def cli() -> PulumiCli:
    """The engine that `make up` uses, too."""
    return ensure_pulumi()


@pytest.fixture(scope="session")
def account(local_account_session: LocalAccount, local_image_root: Path) -> LocalAccount:
    """One account for all stacks, with two releases of `probe` and one of `sales` as images."""
    # Tests in two directories use this fixture, each directory its own instance of it.
    if not (local_image_root / "sales").exists():
        for version in ("1", "2"):
            release = local_image_root / "probe" / version
            shutil.copytree(PROJECT / "tests/locations/probe", release)
            (release / "probe" / "VERSION").write_text(version)
        shutil.copytree(PROJECT / "examples/sales", local_image_root / "sales" / "1")
    return local_account_session


@pytest.fixture(scope="session")
def provider_port(account: LocalAccount) -> Iterator[int]:
    """The stand-in for the `aws` plugin."""
    server, port = serve(account.endpoint_url, account.environment())
    yield port
    server.stop(grace=None)


MakeStack = Callable[[str], DeployedStack]


@pytest.fixture(scope="session")
def make_stack(
    cli: PulumiCli,
    account: LocalAccount,
    provider_port: int,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[MakeStack]:
    """Make a stack of its own, with a backend and a project directory of its own."""
    stacks: dict[str, DeployedStack] = {}
    with warm_host(cli, lambda name: stacks[name].environment) as language:

        def make(name: str) -> DeployedStack:
            stacks[name] = DeployedStack(
                name=name,
                directory=tmp_path_factory.mktemp(f"project-{name}"),
                command=cli.command,
                environment={
                    **account.environment(),
                    "PULUMI_DEBUG_PROVIDERS": f"aws:{provider_port}",
                    "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
                    **language,
                },
            )
            return stacks[name]

        yield make


def config(
    tmp_path: Path,
    *,
    locations: dict[str, Any] | None = None,
    non_isolated_runs: dict[str, Any] | None = None,
    instance: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """A stack's config, of one code location `probe` where nothing else is said.

    Args:
        tmp_path: For the database.
        locations: The code locations.
        non_isolated_runs: The settings.
        instance: Other keys of the instance.
    """
    return {
        "aws:region": "us-east-1",
        "run-isolation:codeLocations": locations or {"probe": probe("1")},
        "run-isolation:deploymentSettings": {"non_isolated_runs": non_isolated_runs or {}},
        "run-isolation:instance": {
            "sqliteDirectory": str(tmp_path / "dagster"),
            "computeLogsBucket": "create",
            "io": "create",
            **(instance or {}),
        },
        "run-isolation:protect": False,
    }


def probe(version: str) -> dict[str, Any]:
    """Config of the code location `probe` in a release of its code."""
    return {"image": f"probe:{version}", "module": "probe.definitions"}


SALES = {"image": "sales:1", "module": "sales.definitions"}
