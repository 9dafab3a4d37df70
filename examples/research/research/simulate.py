"""Work that really takes CPU and memory, in plain Python."""

import random
import time

MEBIBYTE = 1024 * 1024


def hold_memory(mebibytes: int) -> bytearray:
    """Return `mebibytes` MiB of memory that the kernel really had to give (all pages written)."""
    return bytearray(b"\x01") * (mebibytes * MEBIBYTE)


def estimate_pi(seconds: float, seed: int) -> tuple[float, int]:
    """Estimate pi by throwing darts, on one CPU, for `seconds` of wall time.

    Returns:
        The estimate, and how many darts were thrown.
    """
    draw = random.Random(seed).random
    deadline = time.monotonic() + seconds
    hits = darts = 0
    while darts == 0 or time.monotonic() < deadline:
        for _ in range(10_000):
            hits += draw() ** 2 + draw() ** 2 <= 1.0
        darts += 10_000
    return 4 * hits / darts, darts
