"""Images as directories."""

from __future__ import annotations

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
    assert Images(root).directory(image) == root / FOUND[image]


@pytest.mark.parametrize(
    "image", ["none", "sales:2", "../outside", "sales:../../outside", "file", ""]
)
def test_not_found(root: Path, image: str) -> None:
    with pytest.raises(ImageNotFoundError, match=f"^{image}: not found: there is no directory"):
        Images(root).directory(image)
