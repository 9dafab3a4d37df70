"""The environment in which `pulumi` works on the local deployment, also when typed by hand."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from tools.local.account import Account
from tools.local.files import LocalFiles
from tools.pulumi_cli import Origin, PulumiCli

# Not a secret: the salt in stacks/Pulumi.local.yaml belongs to it, and nothing local is encrypted
# for more than form's sake.
PASSPHRASE = "local"  # noqa: S105


def pulumi_environment(files: LocalFiles, account: Account) -> dict[str, str]:
    """Variables that point Pulumi's engine at the local backend and the local account.

    https://www.pulumi.com/docs/iac/cli/environment-variables/
    """
    return {
        **account.environment,
        "PULUMI_BACKEND_URL": f"file://{files.backend}",
        "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
        "PULUMI_HOME": str(files.pulumi_home),
        # The local account serves a stand-in for the `aws` plugin; the real one is not downloaded.
        "PULUMI_DEBUG_PROVIDERS": f"aws:{account.provider_port}",
        "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        # The program's delete hooks must run when the stack is destroyed.
        "PULUMI_RUN_PROGRAM": "true",
        "PULUMI_SKIP_UPDATE_CHECK": "true",
    }


def write_environment(path: Path, variables: Mapping[str, str], cli: PulumiCli) -> None:
    """Write a file for `source` that sets the variables, and PATH where the CLI is not on it."""
    # A profile would win over the local account's keys.
    lines = ["unset AWS_PROFILE AWS_DEFAULT_PROFILE"]
    lines += [f"export {name}={shlex.quote(value)}" for name, value in sorted(variables.items())]
    if cli.origin is not Origin.PATH:
        lines.append(f'export PATH={shlex.quote(str(cli.executable.parent))}:"$PATH"')
    path.write_text("\n".join(lines) + "\n")
