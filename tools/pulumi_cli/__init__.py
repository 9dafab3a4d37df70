"""The Pulumi CLI: found on PATH, downloaded by its installer, or built from its Go modules."""

from tools.pulumi_cli.errors import PulumiCliError
from tools.pulumi_cli.find import Origin, PulumiCli, ensure_pulumi

__all__ = ["Origin", "PulumiCli", "PulumiCliError", "ensure_pulumi"]
