"""A stand-in for the shop's order feed: the same batch number always gives the same orders.

It needs no network and no file, so the location runs anywhere. A batch closes every 15 minutes.
"""

import random
from dataclasses import dataclass
from datetime import UTC, datetime

BATCH_SECONDS = 15 * 60
COUNTRIES = ("DE", "FR", "GB", "SE", "US")


@dataclass(frozen=True)
class Order:
    """One order of the feed.

    Attributes:
        country: ISO 3166 code of the country that it ships to.
        cents: What it cost, in euro cents.
        paid_cents: What was paid so far, in euro cents.
    """

    country: str
    cents: int
    paid_cents: int


def newest_batch(now: datetime | None = None) -> int:
    """Return the number of the newest closed batch (batches since 1970, counted from 1)."""
    return int((now or datetime.now(UTC)).timestamp()) // BATCH_SECONDS


def read_batch(batch: int, size: int) -> list[Order]:
    """Return the first `size` orders of a batch; one in fifty is paid only in part."""
    draw = random.Random(batch)
    orders = []
    for number in range(size):
        cents = draw.randrange(500, 20_000)
        paid = cents // 2 if number % 50 == 49 else cents
        orders.append(Order(draw.choice(COUNTRIES), cents, paid))
    return orders
