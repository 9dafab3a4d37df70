"""Launches of isolated runs beside other launchers' on ECS: AWS calls and time."""

from typing import Final

TITLE: Final = "Launches on ECS, on the local account"
LEGEND: Final = "-: can't be asked, or not alike; the note in `bench/results/launch.json` says why."
