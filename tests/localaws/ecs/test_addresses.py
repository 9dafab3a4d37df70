"""Loopback addresses of tasks."""

from __future__ import annotations

import ipaddress
import random
import socket
import subprocess
import sys
from contextlib import suppress

import pytest

from localaws.account import LocalAccount
from localaws.conditions import Conditions
from localaws.ecs import addresses
from localaws.ecs.addresses import NETWORK, Addresses, AddressesExhaustedError
from tests.localaws.conftest import Cluster
from tests.waiting import eventually


def test_addresses_differ_and_can_be_bound() -> None:
    pool = Addresses(Conditions())
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
    mine, other = (Addresses(Conditions(swallow_seconds=0)) for _ in range(2))
    address = mine.take()
    with pytest.raises(AddressesExhaustedError, match=r"127\.64\.0\.0/10"):
        other.take()
    mine.give_back(address)
    assert taken(other) == address
    other.give_back(address)
    other.give_back(address)

    script = (
        "import random; from localaws.ecs import addresses; random.randrange = lambda low, high: 7;"
        "pool = addresses.Addresses(addresses.Conditions()); pool.take();"
        "print('taken', flush=True); input()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"taken\n"
        with pytest.raises(AddressesExhaustedError):
            mine.take()
        process.kill()
    assert taken(mine) == address


def taken(pool: Addresses) -> str:
    """The one address there is, once it is free."""
    found: list[str] = []

    def take() -> bool:
        with suppress(AddressesExhaustedError):
            found.append(pool.take())
        return bool(found)

    eventually(take)
    return found[0]


def test_an_ended_tasks_address_swallows_packets(
    cluster: Cluster, local_account: LocalAccount, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_account.conditions, "swallow_seconds", 3600)
    mapping = [{"containerPort": port} for port in (4000, 4001)]
    task = cluster.start(cluster.register(cluster.container("exit 0", portMappings=mapping)))
    task.wait_for("STOPPED")
    for port in (4000, 4001):
        with pytest.raises(TimeoutError):
            socket.create_connection((task.placement.address, port), timeout=0.3)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((task.placement.address, 4002), timeout=0.3)
