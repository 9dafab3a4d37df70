"""Isolated and non-isolated runs for open-source Dagster on AWS: the core, which knows no Dagster.

What every launch comes down to::

    manifest = Manifest.load("/run-isolation/prod/manifest", aws.ssm())
    slots = Slots(aws.dynamodb(), manifest.table)
    asked = Request(tags={"dagster/isolation": "disabled"}, launched_by=LaunchedBy.HAND)
    decision = decide(asked, slots.settings(), manifest.location("sales").standing)
    if decision.kind is Kind.NON_ISOLATED:
        answer = slots.acquire(Holder("run-1", attempt=1, location="sales"))
        if isinstance(answer, Acquired):
            execute_here("run-1")
            slots.of("sales").release("run-1", attempt=1)
        else:
            decision = after_denial(answer)
    if decision.kind is Kind.ISOLATED:
        launch = IsolatedLaunch("run-1", 1, location="sales", task_definition=REVISION)
        task_arn = launch_isolated(aws.ecs(), manifest, launch)

What can go wrong is in :mod:`run_isolation.errors`; Dagster's side is :mod:`run_isolation.dagster`.
"""

from run_isolation import aws
from run_isolation.errors import (
    ClaimLostError,
    LaunchError,
    LaunchFailedError,
    LaunchTagsError,
    ManifestError,
    RunIsolationError,
    SettingsError,
    SupersededError,
    TableError,
)
from run_isolation.instance import Instance
from run_isolation.isolated.claims import claim
from run_isolation.isolated.run_task import IsolatedLaunch, launch_isolated
from run_isolation.manifest import Location, Manifest, Network, Size
from run_isolation.retry import Retry
from run_isolation.slots.decision import (
    Decision,
    Kind,
    LaunchedBy,
    Request,
    after_denial,
    after_error,
    decide,
)
from run_isolation.slots.item import Holder
from run_isolation.slots.settings import NonIsolatedRuns
from run_isolation.slots.slots import Acquired, Denied, Disabled, Slots

__all__ = [
    "Acquired",
    "ClaimLostError",
    "Decision",
    "Denied",
    "Disabled",
    "Holder",
    "Instance",
    "IsolatedLaunch",
    "Kind",
    "LaunchError",
    "LaunchFailedError",
    "LaunchTagsError",
    "LaunchedBy",
    "Location",
    "Manifest",
    "ManifestError",
    "Network",
    "NonIsolatedRuns",
    "Request",
    "Retry",
    "RunIsolationError",
    "SettingsError",
    "Size",
    "Slots",
    "SupersededError",
    "TableError",
    "after_denial",
    "after_error",
    "aws",
    "claim",
    "decide",
    "launch_isolated",
]
