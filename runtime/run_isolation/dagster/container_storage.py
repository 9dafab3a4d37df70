"""Outputs that stay in their container, and what is said where one of another container is missed.

Dagster's default I/O manager keeps pickles in a directory. A container has a disk of its own, so a
run that reads what a run in another container has kept finds no file, and "No such file or
directory" tells nobody why.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from functools import wraps
from typing import Any, Final, Self

from dagster._core.storage.root import LocalArtifactStorage
from dagster._serdes import ConfigurableClassData

from run_isolation.dagster.output_words import again, named
from run_isolation.errors import OutputMissingError

_MEND: Final = (
    "Outputs stay in the container that kept them, unless `instance.io` in the stack config has "
    "them kept on S3."
)


class ContainerStorage(LocalArtifactStorage):
    """Dagster's own, at a directory of this container.

    It belongs to the instance, so all processes of a run open it, also those that Dagster spawns.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(base_dir, inst_data)
        _explain_missing_files()

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> Self:
        """As Dagster's own."""
        return cls(config_value["base_dir"], inst_data)


def _explain_missing_files() -> None:
    """Has Dagster's filesystem I/O managers say why there is no file, in this process."""
    with suppress(ImportError, AttributeError):  # then Dagster's own words have to do
        from dagster._core.storage.fs_io_manager import PickledObjectFilesystemIOManager as Manager

        load: Any = Manager.load_from_path
        if not hasattr(load, "__wrapped__"):
            Manager.load_from_path = _explaining(load)  # type: ignore[method-assign]


def _explaining(load: Any) -> Any:
    @wraps(load)
    def load_from_path(self: Any, context: Any, path: Any) -> Any:
        try:
            return load(self, context, path)
        except FileNotFoundError as error:
            raise OutputMissingError(
                named(context),
                problem=f"this container has no file {path}.",
                mend=f"{_MEND} {again(context)}",
            ) from error

    return load_from_path
