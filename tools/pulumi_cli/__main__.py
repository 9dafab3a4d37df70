"""`python -m tools.pulumi_cli`: gets a CLI where there is none, and prints where it is."""

from __future__ import annotations

from tools.pulumi_cli import ensure_pulumi


def main() -> None:
    """Minutes where it has to be built."""
    cli = ensure_pulumi()
    print(f"Pulumi {cli.version}, {cli.origin.value}: {cli.executable}")


if __name__ == "__main__":
    main()
