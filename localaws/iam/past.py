"""IAM as it was some seconds ago: a change is in force everywhere only later.

https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot.html#troubleshoot_general_eventual-consistency
"""

from __future__ import annotations

import copy
import threading
import time
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from moto.iam.models import iam_backends

from localaws.conditions import Conditions
from localaws.iam.needs.ask import PARTITION

_READS: Final = ("Get", "List", "Simulate", "Generate")


class Past:
    """The roles of all accounts, as they are in force. Thread-safe.

    Args:
        conditions: Say how much later a change is.
    """

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        #: Until when (monotonic seconds) an account's roles were those.
        self._were: deque[tuple[float, str, Sequence[Any]]] = deque()
        self._lock = threading.Lock()

    def before(self, service: str, operation: str, account_id: str) -> None:
        """Keep what an API call of IAM may change."""
        if service != "iam" or operation.startswith(_READS) or not self._conditions.iam_lag_seconds:
            return
        were = copy.deepcopy(_now(account_id))
        with self._lock:
            self._were.append((time.monotonic(), account_id, were))

    def roles(self, account_id: str) -> Sequence[Any]:
        """Return moto's roles of an account, as they are in force."""
        horizon = time.monotonic() - self._conditions.iam_lag_seconds
        with self._lock:
            while self._were and self._were[0][0] < horizon:
                self._were.popleft()
            of_account = (roles for _, account, roles in self._were if account == account_id)
            were = next(of_account, None)
        return _now(account_id) if were is None else were


def _now(account_id: str) -> Sequence[Any]:
    backend: Any = iam_backends[account_id][PARTITION]
    return list(backend.roles.values())
