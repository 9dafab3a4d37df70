"""Where the processes of a container tell each other what the database takes by now.

Runs in: server, template, run and step.

All that are forked share this memory with who has imported the module first. So after a rotation
one of them reads the secret, where otherwise each run would: the template, which they are forked
from, opens no connection and knows the environment's secret for ever.
"""

from __future__ import annotations

import json
import mmap
import struct
from hashlib import sha256
from typing import Any, Final

_BYTES: Final = 256 * 1024
"""Twice what a secret may have, and its escapes in JSON:
https://docs.aws.amazon.com/secretsmanager/latest/userguide/reference_limits.html. What is not
written to takes no memory."""
_HEAD: Final = struct.Struct("I32s")
"""Length and SHA-256 of what follows: two may write at once, and a third one read meanwhile."""

_memory: Final = mmap.mmap(-1, _BYTES)


def tell(of: str, what: Any) -> None:
    """Puts something there in place of what was there, whatever it was of.

    Args:
        of: Which login knows it.
        what: What JSON can say. If it is too much nobody is told.
    """
    text = json.dumps({"of": of, "what": what}).encode()
    if _HEAD.size + len(text) <= _BYTES:
        _memory[: _HEAD.size + len(text)] = _HEAD.pack(len(text), sha256(text).digest()) + text


def told(of: str) -> Any:
    """What is there of this login; None: nothing."""
    length, digest = _HEAD.unpack_from(_memory)
    text = _memory[_HEAD.size : _HEAD.size + length]
    if not length or sha256(text).digest() != digest:
        return None
    content = json.loads(text)
    return content["what"] if content["of"] == of else None
