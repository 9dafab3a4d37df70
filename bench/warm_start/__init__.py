"""Runs in a standing container: ours, from a warm template, beside Dagster's own code server."""

from typing import Final

TITLE: Final = "Runs in a standing container of 0.25 vCPU and 1 GB"
LEGEND: Final = (
    "-: Dagster's own has no such thing. The notes in `bench/results/warm_start.json` say how each "
    "number is taken, and whether this machine had limits of CPU and memory."
)
