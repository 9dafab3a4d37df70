"""The jars of DynamoDB Local, in the user's cache.

`pom.xml` pins the version; Maven brings the jars and, beside them, SQLite's native library.
https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/DynamoDBLocal.DownloadingAndRunning.html
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

import platformdirs
from filelock import FileLock

POM: Final = Path(__file__).parent / "pom.xml"


class UnavailableError(Exception):
    """DynamoDB Local can't be had here. The message says why and how to mend it."""


def ensure_jars() -> Path:
    """The directory with the jars, fetched once, however many ask at the same time.

    Raises:
        UnavailableError: They are not in the cache, and there is no Maven or it failed.
    """
    pin = hashlib.sha256(POM.read_bytes()).hexdigest()[:12]
    home = platformdirs.user_cache_path("run-isolation") / "dynamodb-local" / pin
    home.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{home}.lock"):
        if not home.exists():
            _fetch_into(home)
    return home


def _fetch_into(home: Path) -> None:
    """Fetches beside `home` and moves the result there in one step, so it is whole or absent."""
    maven = shutil.which("mvn")
    if maven is None:
        raise UnavailableError(
            "DynamoDB Local comes through Maven, and there is no `mvn` on PATH. Install Maven and "
            "Java 17 or newer (Debian: `apt-get install maven`)."
        )
    unfinished = Path(tempfile.mkdtemp(prefix=f"{home.name}.", dir=home.parent))
    try:
        command = [maven, "--batch-mode", "--quiet", "--file", str(POM)]
        command += ["dependency:copy-dependencies", f"-DoutputDirectory={unfinished}"]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise UnavailableError(f"{' '.join(command)} failed:\n{result.stdout}{result.stderr}")
        unfinished.chmod(0o755)
        unfinished.replace(home)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
