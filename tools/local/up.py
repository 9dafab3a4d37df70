"""`make up`: bring up the local deployment, step by step."""

from __future__ import annotations

from rich.console import Console

from tools.local.account import ensure_account
from tools.local.engine import STACK, provision
from tools.local.environment import pulumi_environment, write_environment
from tools.local.errors import ExitCode, StepError
from tools.local.files import LocalFiles
from tools.local.processes import Processes
from tools.local.report import Report
from tools.local.steps import step
from tools.pulumi_cli import PulumiCliError, ensure_pulumi


def bring_up(files: LocalFiles, console: Console) -> Report:
    """Bring up what is not up yet. A second call changes nothing.

    Raises:
        SystemExit: a step failed; its code is an ExitCode.
    """
    with step(console, "Pulumi CLI", ExitCode.NO_CLI) as current:
        try:
            cli = ensure_pulumi(console)
        except PulumiCliError as error:
            raise StepError(str(error)) from error
        current.outcome = f"{cli.version}, {cli.origin}"

    with step(console, "local AWS account", ExitCode.NO_ACCOUNT) as current:
        account, fresh = ensure_account(files, Processes(files.processes), console)
        current.outcome = f"{account.endpoint_url}, {'started' if fresh else 'runs already'}"

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

    return Report(
        cluster=manifest.cluster,
        table=manifest.table,
        manifest=parameter,
        endpoint=account.endpoint_url,
        environment=files.environment,
        resources=dict(counts),
        locations=standing,
    )
