"""`make up`: bring up the local deployment, step by step."""

from __future__ import annotations

from rich.console import Console

from tools.local.account import ensure_account, stop_account
from tools.local.dagster_processes import stop_dagster
from tools.local.engine import STACK, provision
from tools.local.environment import pulumi_environment, write_environment
from tools.local.errors import ExitCode, StepError
from tools.local.files import LocalFiles
from tools.local.processes import Processes
from tools.local.report import Report
from tools.local.steps import step
from tools.pulumi_cli import PulumiCliError, ensure_pulumi


def bring_up(files: LocalFiles, console: Console) -> Report:
    """Bring up what is not up yet, and launch runs of both kinds.

    A second call changes nothing, but launches again.

    Raises:
        SystemExit: a step failed; its code is an ExitCode.
    """
    with step(console, "Pulumi CLI", ExitCode.NO_CLI) as current:
        try:
            cli = ensure_pulumi(console)
        except PulumiCliError as error:
            raise StepError(str(error)) from error
        current.outcome = f"{cli.version}, {cli.origin}"

    processes = Processes(files.processes)
    with step(console, "local AWS account", ExitCode.NO_ACCOUNT) as current:
        account, fresh = ensure_account(files, processes, console)
        current.outcome = f"{account.endpoint_url}, {'started' if fresh else 'already running'}"
    for remark in account.remarks:
        console.print(f"  {remark}", style="yellow", highlight=False, markup=False)

    with step(console, f"stack {STACK}", ExitCode.NOT_PROVISIONED) as current:
        variables = pulumi_environment(files, account)
        write_environment(files.environment, variables, cli)
        counts = provision(cli, files, variables, console)
        current.outcome = ", ".join(f"{count} {done}" for done, count in counts.items())

    with step(console, "standing containers", ExitCode.NOT_ANSWERING) as current:
        # Imported here: Dagster takes a second to import, and a failing step above needs none.
        from tools.local.standing import load_manifest, wait_until_answering

        parameter = f"/run-isolation/{STACK}/manifest"
        manifest = load_manifest(account, parameter)
        standing = wait_until_answering(account, manifest, console)
        current.outcome = f"{len(standing)} answer"

    with step(console, "Dagster's webserver and daemon", ExitCode.NO_CONTROL_PLANE) as current:
        from tools.local.control_plane import ensure_control_plane
        from tools.local.control_role import as_control_plane

        caller = as_control_plane(account)
        plane = ensure_control_plane(files, processes, caller, parameter, console)
        current.outcome = plane.url

    with step(console, "runs of both kinds", ExitCode.NOT_LAUNCHED) as current:
        from run_isolation.slots.slots import Slots
        from tools.local.demo import launch_all, why_none
        from tools.local.verdict import place

        runs = []
        if reason := why_none(standing):
            current.outcome = f"none, because {reason}"
        else:
            ecs = account.session.client("ecs", endpoint_url=account.endpoint_url)
            dynamodb = account.session.client("dynamodb", endpoint_url=account.endpoint_url)
            slots = Slots(dynamodb, manifest.table)
            launched = launch_all(plane, slots, standing, console)
            runs = place(ecs, manifest.cluster, standing, launched)
            current.outcome = f"{len(runs)} ended"

    return Report(
        cluster=manifest.cluster,
        table=manifest.table,
        manifest=parameter,
        endpoint=account.endpoint_url,
        environment=files.environment,
        resources=dict(counts),
        locations=standing,
        page=plane.url,
        runs=runs,
    )


def stop_all(files: LocalFiles) -> dict[str, int]:
    """Stop what `bring_up` started, and only that.

    Returns:
        The process ids of what ran, by name.
    """
    processes = Processes(files.processes)
    stopped = stop_dagster(processes)
    if pid := stop_account(files, processes):
        stopped["the local AWS account with its tasks"] = pid
    return stopped
