"""The network interface that EC2 shows for each Fargate task.

https://docs.aws.amazon.com/AmazonECS/latest/developerguide/fargate-task-networking.html
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from moto.core.exceptions import ServiceException
from moto.ec2.models import ec2_backends


class Interfaces:
    """Those of one region's tasks."""

    def __init__(self, account_id: str, region: str) -> None:
        self._account_id = account_id
        self._region = region

    @property
    def _ec2(self) -> Any:
        return ec2_backends[self._account_id][self._region]

    def create(self, network: Mapping[str, Any], address: str) -> str:
        """Create one in the first subnet of a checked awsvpc configuration; return its id."""
        interface = self._ec2.create_network_interface(
            network["subnets"][0],
            address,
            group_ids=network.get("securityGroups") or None,
            description="of a task of localaws",
        )
        return str(interface.id)

    def delete(self, interface: str) -> None:
        """Delete one; unknown ids are no error."""
        with suppress(ServiceException):
            self._ec2.delete_network_interface(interface)
