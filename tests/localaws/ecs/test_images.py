"""Images as directories."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from localaws.ecs.images import ImageNotFoundError, Images

FOUND = {
    "sales": "sales",
    "sales:1.4.2": "sales/1.4.2",
    "team/sales:1.4.2": "team/sales/1.4.2",
    "localhost/sales": "sales",
    "localhost:5000/sales:1.4.2": "sales/1.4.2",
    "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/sales:1.4.2": "team/sales/1.4.2",
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in FOUND.values():
        (tmp_path / "root" / name).mkdir(parents=True, exist_ok=True)
    (tmp_path / "outside").mkdir()
    (tmp_path / "root/file").touch()
    return tmp_path / "root"


@pytest.mark.parametrize("image", FOUND)
def test_found(root: Path, image: str) -> None:
    assert Images(root).find(image).directory == root / FOUND[image]


@pytest.mark.parametrize(
    "image", ["none", "sales:2", "../outside", "sales:../../outside", "file", ""]
)
def test_not_found(root: Path, image: str) -> None:
    with pytest.raises(ImageNotFoundError, match=f"^{image}: not found: there is no directory"):
        Images(root).find(image)


def test_without_a_description_it_is_as_our_dockerfile_builds_it(root: Path) -> None:
    image = Images(root, root / "venv").find("sales")
    assert image.argv((), ("run-isolation", "run")) == ("run-isolation", "run")
    assert image.environment["PYTHONPATH"] == image.config.WorkingDir == "/app"
    assert image.python == root / "venv"


def test_it_says_of_itself_what_an_image_says(root: Path) -> None:
    said = {"Entrypoint": ["tini", "--"], "Cmd": ["serve"], "Env": ["A=b=c"], "Python": "../venv"}
    (root / "sales" / "image.json").write_text(json.dumps(said))
    image = Images(root, root / "other").find("sales")
    assert image.argv((), ()) == ("tini", "--", "serve")
    assert image.argv((), ("run",)) == ("tini", "--", "run")
    # An entry point of the task definition drops the image's command, too.
    assert image.argv(("sh", "-c"), ()) == ("sh", "-c")
    assert image.environment == {"A": "b=c"}
    assert image.python.resolve() == root / "venv"


def test_a_wrong_description_is_named(root: Path) -> None:
    (root / "sales" / "image.json").write_text('{"Volumes": {}}')
    with pytest.raises(ImageNotFoundError, match=r"(?s)sales: .*image.json: .*Volumes"):
        Images(root).find("sales")
