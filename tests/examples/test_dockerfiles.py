"""The images can't be built without a Docker engine; this is what can be checked without one."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.examples.locations import ROOT

EXTRAS = {"code-location": ["dagster"], "control-plane": ["dagster", "webserver"]}
image = pytest.mark.parametrize("name", EXTRAS)


DOCKERFILE = ROOT / "images" / "Dockerfile"


def instructions() -> list[list[str]]:
    """The instructions of the Dockerfile, each as a list of words."""
    lines = [line for line in DOCKERFILE.read_text().splitlines() if not line.startswith("#")]
    return [line.split() for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line]


def stage(name: str) -> list[list[str]]:
    """The instructions of one stage."""
    words = instructions()
    begin = next(index for index, one in enumerate(words) if one[0] == "FROM" and one[-1] == name)
    after = [index for index, one in enumerate(words) if one[0] == "FROM" and index > begin]
    return words[begin : min(after)]


def locked(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Version and hashes of each package in a requirements file."""
    blocks = re.split(r"^(?=[a-z0-9])", path.read_text(), flags=re.MULTILINE)
    found = {}
    for block in blocks:
        if match := re.match(r"([a-z0-9.-]+)(?:\[.*?\])?==(\S+)", block):
            hashes = frozenset(re.findall(r"--hash=(\S+)", block))
            found[match[1]] = (match[2], hashes)
    return found


def test_hadolint_finds_nothing() -> None:
    hadolint = Path(sys.prefix) / "bin" / "hadolint"
    result = subprocess.run(
        [hadolint, "--no-color", DOCKERFILE], capture_output=True, text=True, check=False
    )
    assert (result.returncode, result.stdout) == (0, "")


@image
def test_image_runs_as_a_numeric_user_other_than_root(name: str) -> None:
    (user,) = [words[1] for words in stage(name) if words[0] == "USER"]
    assert int(user) > 0  # numeric, so that an orchestrator can verify it without /etc/passwd


@image
def test_the_task_definitions_command_is_the_whole_command(name: str) -> None:
    assert "ENTRYPOINT" not in {words[0] for words in instructions()}
    assert ["WORKDIR", "/app" if name == "code-location" else "/opt/dagster"] in stage(name)


@image
def test_an_image_is_the_last_stage_by_its_name(name: str) -> None:
    assert instructions()[-1] == ["FROM", "${IMAGE}"]
    assert stage(name)[0] == ["FROM", "dagster", "AS", name]


def test_base_image_is_one_python_release() -> None:
    (base,) = [
        words[1] for words in instructions() if words[:1] == ["ARG"] and "=python" in words[1]
    ]
    assert re.fullmatch(r"PYTHON_IMAGE=python:3\.12\.\d+-slim-\w+(@sha256:[0-9a-f]{64})?", base)
    bases = {words[1] for words in instructions() if words[0] == "FROM"}
    assert bases == {"${PYTHON_IMAGE}", "dagster", "${IMAGE}"}


@image
def test_what_is_copied_exists_and_reaches_the_engine(name: str) -> None:
    sent = [
        line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line[:1] == "!"
    ]
    sources = [
        word.replace("${LOCATION}", "examples/sales").replace("${IMAGE}", name)
        for words in instructions()
        if words[0] == "COPY" and not words[1].startswith("--from")
        for word in words[1:-1]
    ]
    assert sources
    for source in sources:
        assert (ROOT / source).exists(), source
        assert source.split("/")[0] in sent, source


@pytest.mark.parametrize(
    "file", ["build-requirements.txt", *(f"{name}/requirements.txt" for name in EXTRAS)]
)
def test_images_install_what_the_project_was_tested_with(file: str) -> None:
    project = locked(ROOT / "requirements.txt")
    packages = locked(ROOT / "images" / file)
    assert packages
    assert {name: project.get(name) for name in packages} == packages, "run `make lock`"
    assert all(hashes for _, hashes in packages.values())


@image
def test_locked_requirements_cover_the_project(name: str) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = list(project["dependencies"])
    for extra in EXTRAS[name]:
        wanted += project["optional-dependencies"][extra]
    names = {canonicalize_name(Requirement(each).name) for each in wanted}
    assert names <= set(locked(ROOT / "images" / name / "requirements.txt")), "run `make lock`"
