"""Ports for servers that must be told theirs."""

from __future__ import annotations

import random
import socket
from pathlib import Path
from typing import Final

_EPHEMERAL: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
"""Those that Linux gives to connections, and to whoever asks for any (ip(7))."""
_LOWEST: Final = 10000


def free_port(together: int = 1) -> int:
    """A TCP port of 127.0.0.1 that nobody has, and that no connection will get by chance.

    Args:
        together: How many in a row must be free; the first is returned.
    """
    highest = int(_EPHEMERAL.read_text().split()[0]) - together
    # Not the module's own generator: with the same seed two processes would get the same ports.
    draw = random.SystemRandom()
    while True:
        port = draw.randint(_LOWEST, highest)
        if all(_is_free(port + offset) for offset in range(together)):
            return port


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
