"""Fixed values of all that is recorded."""

from __future__ import annotations

from typing import Final

from run_isolation.server_identity import ServerIdentity

RUN: Final = "3f0c3b1e-7a55-4c0e-9a3b-0a5d2b6f9c11"
OTHER_RUN: Final = "7d1d7e0a-94f0-4a53-8d5b-0f8d8d7a1b22"
LOCATION: Final = "sales"
SINCE: Final = "2026-11-30T09:00:00+00:00"
NOW: Final = 1_796_029_200
"""The same moment, in epoch seconds."""

_ECS: Final = "arn:aws:ecs:eu-west-1:123456789012"
REVISION: Final = f"{_ECS}:task-definition/run-isolation-prod-sales-isolated:7"
TASK: Final = f"{_ECS}:task/run-isolation-prod/0123456789abcdef0123456789abcdef"
STANDING: Final = f"{_ECS}:task/run-isolation-prod/fedcba9876543210fedcba9876543210"
SERVER: Final = ServerIdentity(STANDING, "10.0.1.23:4001")
