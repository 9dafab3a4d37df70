"""Calls of many threads at once, which moto alone does not stand."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest
from botocore.config import Config

from localaws.account import LocalAccount

THREADS = 8
TRUST = '{"Version": "2012-10-17", "Statement": []}'


@pytest.mark.usefixtures("frequent_switches")
def test_roles_are_made_while_others_are_asked_for(local_account: LocalAccount) -> None:
    config = Config(max_pool_connections=THREADS, retries={"total_max_attempts": 1})
    iam = local_account.client("iam", config=config)

    def make_and_ask(thread: int) -> None:
        for number in range(60):
            name = f"crowd-{thread}-{number}"
            iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
            assert iam.get_role(RoleName=name)["Role"]["RoleName"] == name

    with ThreadPoolExecutor(THREADS) as threads:
        for made in threads.map(make_and_ask, range(THREADS)):
            assert made is None
