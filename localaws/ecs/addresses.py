"""One loopback address per task."""

from __future__ import annotations

import ipaddress
import random
import socket
import threading
from collections.abc import Iterable
from contextlib import ExitStack, suppress

from localaws.conditions import Conditions

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
    """Hands out loopback addresses that no other account on this machine uses. Thread-safe.

    A taken address is an abstract Unix socket of that name: it lives in the same network namespace
    as the address itself, and the kernel frees it when its process ends, however it ends. Addresses
    are drawn at random, so that a stale DNS answer does not lead to another task.

    Args:
        conditions: Say how long an address that was given back swallows packets.
    """

    def __init__(self, conditions: Conditions) -> None:
        self._conditions = conditions
        self._taken: dict[str, socket.socket] = {}
        self._swallowing: dict[str, tuple[threading.Timer, ExitStack]] = {}
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

    def give_back(self, address: str, ports: Iterable[int] = ()) -> None:
        """Free an address, once nobody is to be refused at these ports any more.

        Args:
            address: Of a task that has ended.
            ports: Those that it may have served.
        """
        with self._lock:
            claim = self._taken.pop(address, None)
            if claim is None:
                return
            held = ExitStack()
            held.enter_context(claim)
            for port in ports:
                _swallow(address, port, held)
            timer = threading.Timer(self._conditions.swallow_seconds, self._free, [address])
            timer.daemon = True
            self._swallowing[address] = (timer, held)
            timer.start()

    def close(self) -> None:
        """Free all that were given back."""
        for address in list(self._swallowing):
            self._free(address)

    def _free(self, address: str) -> None:
        with self._lock:
            timer, held = self._swallowing.pop(address, (None, None))
        if timer is not None and held is not None:
            timer.cancel()
            held.close()


def _swallow(address: str, port: int, held: ExitStack) -> None:
    """Let connections to a port hang: the kernel drops the first packet where a queue is full."""
    listener = held.enter_context(socket.socket())
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # A process that the task has left may serve there still.
    with suppress(OSError):
        listener.bind((address, port))
        listener.listen(0)
        # The queue holds one more than it is told to.
        for _ in range(2):
            client = held.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex((address, port))
