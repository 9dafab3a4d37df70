"""All contenders."""

from __future__ import annotations

from typing import Final

from bench.slots.contenders import Contender
from bench.slots.ours import BareLock, Ours
from bench.slots.peers import DynamoDlm, PowertoolsIdempotency, PythonDynamoDBLock, RateLimiter

CONTENDERS: Final[dict[str, type[Contender]]] = {
    each.name: each
    for each in (
        Ours,
        BareLock,
        PythonDynamoDBLock,
        PowertoolsIdempotency,
        DynamoDlm,
        RateLimiter,
    )
}
