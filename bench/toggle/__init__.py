"""Dagster's Launchpad with the toggle in it, beside Dagster's own."""

from typing import Final

TITLE: Final = "Dagster's Launchpad with and without the toggle, in Chromium"
LEGEND: Final = "-: there is no other one."
