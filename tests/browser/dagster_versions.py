"""Environments with other versions of Dagster than this one, kept in the user's cache."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
from pathlib import Path

import platformdirs
from filelock import FileLock

PROJECT = Path(__file__).parents[2]
RUNTIME = PROJECT / "runtime"
_OURS = re.compile(r"^(?!dagster)([A-Za-z0-9._-]+==[^ ;]+)", re.MULTILINE)


class NotToBeHadError(Exception):
    """Neither in the cache nor from the package index."""


def python_with(version: str) -> Path:
    """The interpreter of an environment in which `run_isolation` runs with this Dagster.

    Everything else is as `requirements.txt` pins it. Our own code is not in it: put RUNTIME on
    its PYTHONPATH.

    Raises:
        NotToBeHadError: With what uv says.
    """
    pins = "\n".join(_OURS.findall((PROJECT / "requirements.txt").read_text()))
    digest = hashlib.sha256(f"{sys.version}\n{pins}".encode()).hexdigest()[:12]
    place = platformdirs.user_cache_path("run-isolation") / "dagster" / f"{version}-{digest}"
    place.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{place}.lock"):
        done = place / "done"
        if not done.exists():
            _uv("venv", "--quiet", "--clear", "--python", sys.executable, str(place))
            constraints = place / "constraints.txt"
            constraints.write_text(pins)
            _uv(
                *("pip", "install", "--quiet", "--python", str(place / "bin" / "python")),
                *("--constraints", str(constraints)),
                *(f"dagster=={version}", f"dagster-webserver=={version}"),
                *("dagster-aws", "dagster-postgres", "sqlalchemy<2.1"),
                *("boto3", "click", "pydantic", "rich", "tenacity"),
            )
            done.touch()
    return place / "bin" / "python"


def _uv(*words: str) -> None:
    done = subprocess.run([Path(sys.prefix) / "bin" / "uv", *words], capture_output=True, text=True)
    if done.returncode:
        raise NotToBeHadError(done.stderr)
