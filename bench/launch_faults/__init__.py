"""What becomes of a run under each fault, with ours and with dagster-aws's launcher."""

from typing import Final

TITLE: Final = "A run under faults, on the local account"
LEGEND: Final = (
    "✗: not ended, executed twice, a status that is not true, not what such a run should become, "
    "no word of the cause, or a task left. -: can't happen there."
)
