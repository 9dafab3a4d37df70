"""Slots beside locks on DynamoDB: speed, cost, and behaviour under faults."""

from typing import Final

TITLE: Final = "Slots beside locks, on Amazon's DynamoDB Local"
LEGEND: Final = "-: can't do it; ✗: let in too many, told its caller wrong, or lost the slot."
