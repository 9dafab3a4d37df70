"""What the tests of the code locations share."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[2]

Load = Callable[[str, str], ModuleType]
MaterializeAlone = Callable[..., dict[str, Any]]
