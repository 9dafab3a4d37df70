"""moto's Cloud Map with the refusals of the real one."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.route53.models import route53_backends
from moto.servicediscovery import urls
from moto.servicediscovery.exceptions import ConflictingDomainExists
from moto.servicediscovery.models import Service, ServiceDiscoveryBackend
from moto.utilities.utils import get_partition


class ResourceInUse(JsonRESTError):  # noqa: N818 - AWS's name
    """A resource that others depend on cannot be deleted."""

    def __init__(self, message: str) -> None:
        super().__init__("ResourceInUse", message)


class LocalServiceDiscoveryBackend(ServiceDiscoveryBackend):
    """The Cloud Map of one region."""

    @property
    def _url_module(self) -> ModuleType:
        # moto derives this from the class's module.
        return urls

    def __init__(self, region_name: str, account_id: str) -> None:
        super().__init__(region_name, account_id)
        self._vpcs: dict[str, str] = {}

    def create_private_dns_namespace(
        self,
        name: str,
        creator_request_id: str,
        description: str,
        vpc: str,
        tags: list[dict[str, str]],
        properties: dict[str, Any],
    ) -> str:
        """Create a namespace. A VPC may have several, of different names."""
        known = list(self.namespaces.items())
        if any(one.name == name and self._vpcs.get(key) == vpc for key, one in known):
            raise ConflictingDomainExists(vpc)
        operation_id = super().create_private_dns_namespace(
            name, creator_request_id, description, vpc, tags, properties
        )
        namespace_id = self.operations[operation_id].targets["NAMESPACE"]
        self._vpcs[namespace_id] = vpc
        # moto refuses a second namespace of a VPC whatever its name, and uses `vpc` for that only.
        self.namespaces[namespace_id].vpc = None
        return operation_id

    def create_service(self, name: str, namespace_id: str, *args: Any, **kwargs: Any) -> Service:
        """Create a service. Its namespace may also be named in `DnsConfig`, the older place.

        https://docs.aws.amazon.com/cloud-map/latest/api/API_DnsConfig.html
        """
        older: str = (kwargs.get("dns_config") or {}).get("NamespaceId", "")
        return super().create_service(name, namespace_id or older, *args, **kwargs)

    def delete_namespace(self, namespace_id: str) -> str:
        """Delete an empty namespace and its hosted zone."""
        if any(one.namespace_id == namespace_id for one in self.services.values()):
            raise ResourceInUse("The namespace has services: delete them first.")
        namespace = self.get_namespace(namespace_id)
        if zone := (namespace.dns_properties or {}).get("HostedZoneId"):
            route53 = route53_backends[self.account_id][get_partition(self.region_name)]
            route53.delete_hosted_zone(zone)
        return super().delete_namespace(namespace_id)

    def delete_service(self, service_id: str) -> None:
        """Delete a service without instances."""
        if self.get_service(service_id).instances:
            raise ResourceInUse("The service has instances: deregister them first.")
        super().delete_service(service_id)
