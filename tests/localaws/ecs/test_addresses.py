"""Loopback addresses of tasks."""

from __future__ import annotations

import ipaddress
import random
import socket
import subprocess
import sys

import pytest

from localaws.ecs import addresses
from localaws.ecs.addresses import NETWORK, Addresses, AddressesExhaustedError


def test_addresses_differ_and_can_be_bound() -> None:
    pool = Addresses()
    taken = {pool.take() for _ in range(50)}
    assert len(taken) == 50
    for address in taken:
        assert ipaddress.IPv4Address(address) in NETWORK
        with socket.create_server((address, 0)):
            pass


def test_an_address_is_one_accounts_until_it_is_given_back_or_its_process_ends(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(random, "randrange", lambda low, high: 7)
    monkeypatch.setattr(addresses, "_ATTEMPTS", 3)
    mine, other = Addresses(), Addresses()
    address = mine.take()
    with pytest.raises(AddressesExhaustedError, match=r"127\.64\.0\.0/10"):
        other.take()
    mine.give_back(address)
    assert other.take() == address
    other.give_back(address)
    other.give_back(address)

    script = (
        "import random; from localaws.ecs import addresses; random.randrange = lambda low, high: 7;"
        "pool = addresses.Addresses(); pool.take(); print('taken', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"taken\n"
        with pytest.raises(AddressesExhaustedError):
            mine.take()
        process.kill()
    assert mine.take() == address
