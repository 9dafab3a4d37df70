"""DynamoDB's promise that the writes of an item are done one after the other.

moto checks a write's condition and then writes, with no lock in between: two writers can both pass
(it shows when threads switch often). Here all DynamoDB requests are done one after the other.
"""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager

#: Held while a DynamoDB request is carried out.
LOCK: AbstractContextManager[object] = threading.Lock()
