"""What a torture of the standing container happens in: storage, table, a server, one instance."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from unittest.mock import patch
from uuid import uuid4

from dagster import DagsterInstance, DagsterRun
from sqlalchemy.engine import make_url

from run_isolation import NonIsolatedRuns, Slots, aws, tag_names
from run_isolation.dagster.deployment import Deployment
from run_isolation.manifest import Location, Manifest, Network, Size
from run_isolation.table import TABLE as TABLE_VARIABLE
from tests.code_server.container import SMALL
from tests.code_server.runs import new_home, runs_of
from tests.code_server.servers import SPAWNING, WARM, Kind
from tests.e2e.storage import postgres_programs
from tests.e2e.storage import server as postgres
from tests.runtime.tables import TABLE, configure, create_table
from tests.torture.standing.conditions import Conditions
from tests.torture.standing.gates import Gates, gates
from tests.torture.standing.host import CLUSTER, Ecs, Host
from tests.torture.standing.plan import QUIET, Body, Plan
from tools.dynamodb_local import DynamoDBLocal, UnavailableError
from tools.ports import free_port

LOCATION_NAME: Final = "under_test"
EXPECTED_MIB: Final = 40
"""What a forked run's job is said to have taken before; the server keeps so much for it."""
STORAGE_GATE: Final = 0
TABLE_GATE: Final = 1
TWIN: Final = Kind("twin", (sys.executable, "-m", "tests.torture.standing.twin"), ours=True)
_ENDPOINT: Final = "AWS_ENDPOINT_URL_DYNAMODB"
_LONG: Final = 100
"""So many runs take long enough for a faster database to pay."""
_TEMPORARY_MIB: Final = 16
_TEMPORARY_FILES: Final = 4096


class TorturedDeployment(Deployment):
    """A deployment whose manifest is known, and whose ECS knows one standing task."""

    def __init__(self, slots: Slots, host: Host) -> None:
        super().__init__()
        self.__dict__["slots"] = slots
        self.__dict__["ecs"] = self.__dict__["ecs_once"] = Ecs(host)

    @property
    def manifest(self) -> Manifest:
        """The same always."""
        size = Size(cpu=SMALL.cpu, memory=SMALL.memory)
        location = Location(host="name", port=1, standing=size, isolated=size, log_group="logs")
        return Manifest(
            deployment="test",
            account="123456789012",
            region="us-east-1",
            cluster=CLUSTER,
            table=TABLE,
            network=Network(subnets=[], security_groups=[]),
            locations={LOCATION_NAME: location},
        )


@dataclass
class World:
    """Everything but the violence."""

    directory: Path
    instance: DagsterInstance
    """Through the gate."""
    direct: DagsterInstance
    """Past the gate, as the table of the next one is: for who judges."""
    slots: Slots
    deployment: Deployment
    host: Host
    gates: Gates
    conditions: Conditions
    temporary: Path
    temporary_is_small: bool
    """Whether the server's temporary files are on a disk of their own."""
    patterns: Mapping[bool, DagsterRun]
    """A run in one process, and one in steps."""

    @property
    def ledger(self) -> Path:
        """Where executions are written down."""
        return self.directory / "ledger"

    def new_run(self, body: Body) -> DagsterRun:
        """Stores a run that is not started."""
        run = self.patterns[body.steps]._replace(
            run_id=str(uuid4()), run_config=_config(self.ledger, body)
        )
        self.instance.add_run(run)
        return run


@contextmanager
def world(plan: Plan, directory: Path) -> Iterator[World]:
    """Opens it; this process's environment leads to the table meanwhile, through its gate.

    Raises:
        UnavailableError: Postgres or DynamoDB Local can't be had.
    """
    with ExitStack() as exits:
        stores = exits.enter_context(_stores(plan))
        exits.enter_context(patch.dict(os.environ, stores.environment))
        observer = {"environment": {**stores.environment, _ENDPOINT: stores.table}}
        (directory / "observer").write_text(json.dumps(observer))
        homes = [_home(directory / name, url) for name, url in stores.urls.items()]
        direct, instance = [
            exits.enter_context(DagsterInstance.from_config(str(home))) for home in homes
        ]
        temporary, small = exits.enter_context(_temporary(directory / "temporary"))
        conditions = Conditions(directory / "conditions")
        kind = TWIN if plan.twin else WARM if plan.warm_start else SPAWNING
        environment = {
            "DAGSTER_HOME": str(homes[-1]),
            TABLE_VARIABLE: TABLE,
            "TMPDIR": str(temporary),
        }
        limits = replace(SMALL, cpu=plan.cpu)
        host = Host(kind, directory, limits, environment, conditions)
        exits.callback(host.stop)
        host.start()
        yield World(
            directory,
            instance,
            direct,
            stores.slots,
            TorturedDeployment(Slots(aws.dynamodb(), TABLE), host),
            host,
            stores.gates,
            conditions,
            temporary,
            small,
            _patterns(host, homes[-1], directory / "ledger"),
        )


@dataclass(frozen=True)
class _Stores:
    """Storage and table."""

    urls: Mapping[str, str]
    """Of the storage: past the gate, and through it."""
    table: str
    """Past the gate."""
    environment: Mapping[str, str]
    """What makes AWS clients go through it."""
    slots: Slots
    gates: Gates


@contextmanager
def _stores(plan: Plan) -> Iterator[_Stores]:
    programs = postgres_programs()
    if programs is None:
        raise UnavailableError("The torture of the standing container needs a Postgres server.")
    with ExitStack() as exits:
        url = make_url(exits.enter_context(postgres(programs)))
        table = exits.enter_context(DynamoDBLocal(short_lived=plan.runs < _LONG))
        ports = [(free_port(), url.port or 0), (free_port(), table.port)]
        opened = exits.enter_context(gates(ports))
        with patch.dict(os.environ, table.environment):
            slots = Slots(aws.dynamodb(), TABLE)
        create_table(slots.client)
        enabled = NonIsolatedRuns(enabled=True, max_concurrent_non_isolated_runs=plan.slots)
        configure(slots.client, enabled)
        through = url.set(port=ports[STORAGE_GATE][0])
        gated = {_ENDPOINT: f"http://127.0.0.1:{ports[TABLE_GATE][0]}"}
        yield _Stores(
            {"direct": str(url), "home": str(through)},
            table.endpoint_url,
            table.environment | gated,
            slots,
            opened,
        )


def _patterns(host: Host, home: Path, ledger: Path) -> Mapping[bool, DagsterRun]:
    """What runs are copied from: in one process, and in steps."""
    assert host.current is not None
    with runs_of(host.current.server, home) as runs:
        tags = {tag_names.ISOLATION: tag_names.DISABLED}
        made = {
            steps: runs.create(job, _config(ledger, QUIET), tags)
            for steps, job in ((False, "alone"), (True, "steps"))
        }
        for run in made.values():
            runs.instance.delete_run(run.run_id)
    return made


def _config(ledger: Path, body: Body) -> dict[str, Any]:
    values = {"ledger": str(ledger), "seconds": body.seconds, "end": body.end}
    return {"ops": {"live": {"config": values}}}


def _home(directory: Path, url: str) -> Path:
    return new_home(directory, {"postgres": {"postgres_url": url}})


@contextmanager
def _temporary(directory: Path) -> Iterator[tuple[Path, bool]]:
    """A small disk, where this machine lets us mount one; and whether it did."""
    directory.mkdir()
    options = f"size={_TEMPORARY_MIB}m,nr_inodes={_TEMPORARY_FILES},mode=1777"
    command: list[Any] = ["mount", "-t", "tmpfs", "-o", options, "torture", directory]
    mounted = os.geteuid() == 0 and subprocess.run(command, capture_output=True).returncode == 0
    try:
        yield directory, mounted
    finally:
        if mounted:
            subprocess.run(["umount", "-l", directory], capture_output=True, check=False)
