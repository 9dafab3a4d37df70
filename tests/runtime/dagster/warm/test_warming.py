"""What a container's own instance needs is imported before runs are forked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from run_isolation.dagster.warm import warming
from run_isolation.default_instance import postgres, sqlite
from tests.code_server.runs import new_home


@pytest.mark.parametrize(
    ("storage", "needed", "needless"),
    [
        (sqlite("data"), (), ("psycopg2", "botocore.auth")),
        ({"postgres": {"postgres_url": "postgresql://h/n"}}, ("psycopg2",), ("botocore.auth",)),
        (postgres(host="h"), ("psycopg2", "run_isolation.dagster.postgres"), ("botocore.auth",)),
        (postgres(host="h", iam=True), ("psycopg2", "boto3.session", "botocore.auth"), ()),
    ],
)
def test_of_its_storage(
    storage: dict[str, Any],
    needed: tuple[str, ...],
    needless: tuple[str, ...],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DAGSTER_HOME", str(new_home(tmp_path, storage)))
    modules = warming._storage_modules()
    assert set(needed) <= set(modules)
    assert not set(needless) & set(modules)


def test_without_an_instance_of_its_own_nothing_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    assert "psycopg2" not in warming._storage_modules()
