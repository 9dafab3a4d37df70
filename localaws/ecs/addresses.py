"""One loopback address per task."""

from __future__ import annotations

import ipaddress
import random
import socket
import threading

#: Linux answers on every address of 127.0.0.0/8; this part of it is the tasks'.
NETWORK = ipaddress.IPv4Network("127.64.0.0/10")

_ATTEMPTS = 1000

#: Above all users that systems know; plus the place in `NETWORK`.
_FIRST_USER = 2**20


class AddressesExhaustedError(RuntimeError):
    """No free loopback address was found."""


def kernel_user(address: str) -> int:
    """Return the number of the user that the task of an address has for itself on this machine."""
    place = int(ipaddress.IPv4Address(address)) - int(NETWORK.network_address)
    return _FIRST_USER + place


class Addresses:
    """Hands out loopback addresses that no other account on this machine uses.

    A taken address is an abstract Unix socket of that name: it lives in the same network namespace
    as the address itself, and the kernel frees it when its process ends, however it ends. Addresses
    are drawn at random, so that a stale DNS answer does not lead to another task.
    """

    def __init__(self) -> None:
        self._taken: dict[str, socket.socket] = {}
        self._lock = threading.Lock()

    def take(self) -> str:
        """Take a free address.

        Raises:
            AddressesExhaustedError: None was free in many tries.
        """
        for _ in range(_ATTEMPTS):
            # Neither the network's own address nor its broadcast address.
            offset = random.randrange(1, NETWORK.num_addresses - 1)  # noqa: S311 - no secret
            address = str(NETWORK[offset])
            claim = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            try:
                claim.bind(f"\0localaws/{address}")
            except OSError:
                claim.close()
                continue
            with self._lock:
                self._taken[address] = claim
            return address
        raise AddressesExhaustedError(
            f"no free address found in {NETWORK} in {_ATTEMPTS} tries; stop other local accounts"
        )

    def give_back(self, address: str) -> None:
        """Free an address."""
        with self._lock:
            claim = self._taken.pop(address, None)
        if claim is not None:
            claim.close()
