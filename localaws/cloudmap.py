"""moto's Cloud Map with the refusals of the real one."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from moto.core.exceptions import JsonRESTError
from moto.route53.models import route53_backends
from moto.servicediscovery import urls
from moto.servicediscovery.exceptions import ConflictingDomainExists, CustomHealthNotFound
from moto.servicediscovery.models import Service, ServiceDiscoveryBackend, ServiceInstance
from moto.utilities.utils import get_partition


class ResourceInUse(JsonRESTError):  # noqa: N818 - AWS's name
    """A resource that others depend on cannot be deleted."""

    def __init__(self, message: str) -> None:
        super().__init__("ResourceInUse", message)


class ServiceAlreadyExists(JsonRESTError):  # noqa: N818 - AWS's name
    """A namespace has one service of each name."""

    def __init__(self, name: str) -> None:
        super().__init__(
            "ServiceAlreadyExists",
            f"The service {name} can't be created because a service with the same name already "
            "exists.",
        )


def answered(service: Service) -> list[ServiceInstance]:
    """Return the instances that a service's name stands for: the healthy ones, or else all.

    "If you don't configure a health check during service creation, traffic will be routed to
    service instances regardless of the instances' health status":
    https://docs.aws.amazon.com/cloud-map/latest/dg/services-health-checks.html. Where all are
    unhealthy, Route 53 takes all for healthy:
    https://docs.aws.amazon.com/Route53/latest/DeveloperGuide/health-checks-how-route-53-chooses-records.html
    """
    instances = list(service.instances)
    if not service.health_check_custom_config:
        return instances
    return [one for one in instances if one.health_status == "HEALTHY"] or instances


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
        namespace_id = namespace_id or older
        for one in list(self.services.values()):
            if one.namespace_id == namespace_id and one.name.lower() == name.lower():
                raise ServiceAlreadyExists(name)
        return super().create_service(name, namespace_id, *args, **kwargs)

    def register_instance(
        self,
        service_id: str,
        instance_id: str,
        creator_request_id: str,
        attributes: dict[str, str],
    ) -> str:
        """Register an instance. Without a health check its health is not known.

        https://docs.aws.amazon.com/cloud-map/latest/api/API_RegisterInstance.html
        """
        operation_id = super().register_instance(
            service_id, instance_id, creator_request_id, attributes
        )
        checked = self.get_service(service_id).health_check_custom_config
        initial = attributes.get("AWS_INIT_HEALTH_STATUS", "HEALTHY")
        instance = self.get_instance(service_id, instance_id)
        instance.health_status = initial if checked else "UNKNOWN"
        return operation_id

    def update_instance_custom_health_status(
        self, service_id: str, instance_id: str, status: str
    ) -> None:
        """Set an instance's health, where the service has a custom health check.

        https://docs.aws.amazon.com/cloud-map/latest/api/API_UpdateInstanceCustomHealthStatus.html
        """
        if not self.get_service(service_id).health_check_custom_config:
            raise CustomHealthNotFound(service_id)
        super().update_instance_custom_health_status(service_id, instance_id, status)

    def discover_instances(
        self,
        namespace_name: str,
        service_name: str,
        query_parameters: dict[str, str] | None = None,
        optional_parameters: dict[str, str] | None = None,
        health_status: str | None = None,
    ) -> tuple[list[ServiceInstance], dict[str, int]]:
        """Find instances. Without a health check `HealthStatus` means nothing, and all are found.

        https://docs.aws.amazon.com/cloud-map/latest/api/API_DiscoverInstances.html
        """
        namespaces = {key for key, one in self.namespaces.items() if one.name == namespace_name}
        checked = any(
            one.health_check_custom_config
            for one in list(self.services.values())
            if one.namespace_id in namespaces and one.name == service_name
        )
        wanted = (health_status or "HEALTHY_OR_ELSE_ALL") if checked else "ALL"
        return super().discover_instances(
            namespace_name, service_name, query_parameters, optional_parameters, wanted
        )

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
