"""Environments of Python as the images in `images/` have them: nothing of this checkout is in them.

`make up` and the end-to-end tests run their tasks in them, so that what only this checkout's own
environment has is missed.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from filelock import FileLock

CHECKOUT: Final = Path(__file__).parents[1]
DIRECTORY: Final = CHECKOUT / ".local" / "environments"
_SOURCES: Final = ("pyproject.toml", "README.md", "runtime", "localaws")
"""What the project's own wheel is made from, as the Dockerfiles copy it."""


class EnvironmentFailedError(Exception):
    """An environment could not be made; the text is the end of what pip said."""


def ensure_environment(image: str, directory: Path = DIRECTORY) -> Path:
    """Make the environment of an image, or bring it up to date; about 20 seconds the first time.

    Args:
        image: A directory of `images/`: code-location or control-plane.
        directory: Holds the environments.

    Returns:
        The environment, with this checkout's runtime installed as a wheel.

    Raises:
        EnvironmentFailedError: pip failed.
    """
    requirements = CHECKOUT / "images" / image / "requirements.txt"
    environment = directory / image
    directory.mkdir(parents=True, exist_ok=True)
    # Scripts in it name its interpreter.
    environment = environment.resolve()
    with FileLock(directory / f"{image}.lock"):
        made = environment / "requirements.sha256"
        wanted = _digest([requirements], sys.version)
        if not made.exists() or made.read_text() != wanted:
            shutil.rmtree(environment, ignore_errors=True)
            _run([sys.executable, "-m", "venv", str(environment)])
            _pip(environment, "--require-hashes", "--requirement", str(requirements))
            made.write_text(wanted)
        _install_project(environment)
    return environment


def _install_project(environment: Path) -> None:
    installed = environment / "project.sha256"
    wanted = _digest(_files(), "")
    if installed.exists() and installed.read_text() == wanted:
        return
    installed.unlink(missing_ok=True)
    wheels = environment / "wheels"
    shutil.rmtree(wheels, ignore_errors=True)
    # By this checkout's pip, which has hatchling; nothing is downloaded.
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
    build += ["--no-deps", "--no-build-isolation", "--wheel-dir", str(wheels)]
    _run([*build, str(CHECKOUT)])
    [wheel] = wheels.glob("*.whl")
    _pip(environment, "--no-index", "--no-deps", "--force-reinstall", str(wheel))
    installed.write_text(wanted)


def _pip(environment: Path, *words: str) -> None:
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
    _run([*pip, "install", "--quiet", *words])


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise EnvironmentFailedError(f"{' '.join(command)}\n{done.stderr[-3000:]}")


def _files() -> list[Path]:
    below = (CHECKOUT / source for source in _SOURCES)
    found = [path for one in below for path in ([one] if one.is_file() else one.rglob("*"))]
    return sorted(path for path in found if path.is_file() and path.suffix != ".pyc")


def _digest(files: Iterable[Path], salt: str) -> str:
    digest = hashlib.sha256(salt.encode())
    for path in files:
        digest.update(f"{path.relative_to(CHECKOUT)}\0".encode() + path.read_bytes())
    return digest.hexdigest()


def main() -> None:
    """Make all of them, for tests that have no time to wait for it."""
    for requirements in sorted((CHECKOUT / "images").glob("*/requirements.txt")):
        print(ensure_environment(requirements.parent.name))


if __name__ == "__main__":
    main()
