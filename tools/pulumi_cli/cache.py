"""Where downloaded and built CLIs are kept."""

from pathlib import Path

import platformdirs


def cache_directory() -> Path:
    """The user's cache for CLIs: `$XDG_CACHE_HOME/run-isolation/pulumi` on Linux."""
    return platformdirs.user_cache_path("run-isolation") / "pulumi"
