"""What the limits of runs and pools are called in ``dagster.yaml``, now and before.

``ConcurrencyConfig.from_concurrency_settings``, dagster/_core/instance/config.py.
"""

from __future__ import annotations

from typing import Final

Keys = tuple[str, ...]
"""Keys, from the outermost on."""

_NEWEST: Final[dict[Keys, Keys]] = {
    ("run_queue", "max_concurrent_runs"): ("concurrency", "runs", "max_concurrent_runs"),
    ("run_queue", "tag_concurrency_limits"): ("concurrency", "runs", "tag_concurrency_limits"),
    ("run_queue", "block_op_concurrency_limited_runs", "op_concurrency_slot_buffer"): (
        *("concurrency", "pools", "op_granularity_run_buffer"),
    ),
    ("concurrency", "default_op_concurrency_limit"): ("concurrency", "pools", "default_limit"),
}


def newest(place: Keys) -> Keys:
    """The place under the newest name of the same."""
    if place[:2] == ("run_coordinator", "config"):
        place = ("run_queue", *place[2:])
    return _NEWEST.get(place, place)
