"""Where the local deployment keeps its files: everything is in one directory."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class LocalFiles:
    """The files of one local deployment."""

    directory: Path = CHECKOUT / ".local"

    @property
    def ready(self) -> Path:
        """What the local account says about itself once it serves."""
        return self.directory / "ready.json"

    @property
    def processes(self) -> Path:
        """What was started, so that only that is stopped."""
        return self.directory / "processes.json"

    @property
    def environment(self) -> Path:
        """Sourced by a shell in which `pulumi` shall work."""
        return self.directory / "env"

    @property
    def backend(self) -> Path:
        """Pulumi's state."""
        return self.directory / "backend"

    @property
    def pulumi_home(self) -> Path:
        """Pulumi's own settings, so that those in the user's home stay as they are."""
        return self.directory / "pulumi"

    @property
    def account_log(self) -> Path:
        """Output of the local account."""
        return self.directory / "account.log"

    @property
    def pulumi_log(self) -> Path:
        """Output of the last `pulumi up` of `make up`."""
        return self.directory / "pulumi.log"

    @property
    def dagster_home(self) -> Path:
        """DAGSTER_HOME of webserver and daemon."""
        return self.directory / "dagster-home"

    @property
    def dagster_storage(self) -> Path:
        """Runs and events: `instance.sqliteDirectory` of stacks/Pulumi.local.yaml."""
        return self.directory / "dagster"

    @property
    def port(self) -> Path:
        """The port of the page, so that it keeps its address."""
        return self.directory / "port"

    def log(self, name: str) -> Path:
        """Output of a background process."""
        return self.directory / f"{name}.log"

    @property
    def lock(self) -> Path:
        """Held by `make up` and `make down`."""
        return self.directory / "lock"

    def forget_account(self) -> None:
        """Remove what refers to an account that is gone: Pulumi's state of it above all.

        The history of runs goes, too: their tasks and their logs were in that account.
        """
        shutil.rmtree(self.dagster_storage, ignore_errors=True)
        shutil.rmtree(self.dagster_home, ignore_errors=True)
        shutil.rmtree(self.backend, ignore_errors=True)
        shutil.rmtree(self.pulumi_home, ignore_errors=True)
        self.ready.unlink(missing_ok=True)
        self.environment.unlink(missing_ok=True)
