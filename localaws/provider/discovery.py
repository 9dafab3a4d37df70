"""Cloud Map (servicediscovery): private DNS namespaces and the services in them."""

import uuid
from collections.abc import Mapping
from typing import Any, ClassVar

from localaws.provider.aws import Aws
from localaws.provider.resource import Handler, from_aws, tag_list, tag_map, to_aws
from localaws.provider.same_value import block, unordered
from localaws.provider.wire import Props


class _CloudMapHandler(Handler):
    def retag(self, aws: Aws, state: Props, removed: list[str], tags: Mapping[str, str]) -> None:
        """TagResource and UntagResource."""
        cloud_map = aws.client("servicediscovery")
        if removed:
            cloud_map.untag_resource(ResourceARN=state["arn"], TagKeys=removed)
        if tags:
            cloud_map.tag_resource(ResourceARN=state["arn"], Tags=tag_list(tags))

    def tags(self, aws: Aws, arn: str) -> dict[str, str]:
        """ListTagsForResource."""
        answer = aws.client("servicediscovery").list_tags_for_resource(ResourceARN=arn)
        return tag_map(answer["Tags"])

    def wait(self, aws: Aws, operation: str) -> dict[str, str]:
        """Wait for an operation, and return the ids of what it worked on.

        Raises:
            RuntimeError: The operation failed.
        """
        done = aws.wait(
            f"Cloud Map operation {operation} is done",
            lambda: _operation(aws, operation),
            lambda found: bool(found["Status"] in ("SUCCESS", "FAIL")),
        )
        if done["Status"] == "FAIL":
            raise RuntimeError(f"{done['Type']}: {done.get('ErrorMessage', 'no reason given')}")
        return dict(done["Targets"])


class PrivateDnsNamespace(_CloudMapHandler):
    """A DNS zone that only one network sees."""

    required = ("name", "vpc")
    optional = ("description",)
    outputs = ("arn", "hostedZone")
    remembered = ("vpc",)  # GetNamespace does not answer it

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreatePrivateDnsNamespace."""
        names = {"name": "Name", "vpc": "Vpc", "description": "Description"}
        answer = aws.client("servicediscovery").create_private_dns_namespace(
            **to_aws(names, inputs),
            CreatorRequestId=str(uuid.uuid4()),
            Tags=tag_list(inputs.get("tags", {})),
        )
        return self.wait(aws, answer["OperationId"])["NAMESPACE"]

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """GetNamespace."""
        found = aws.client("servicediscovery").get_namespace(Id=resource_id)["Namespace"]
        names = {"arn": "Arn", "name": "Name", "description": "Description"}
        dns = found.get("Properties", {}).get("DnsProperties", {})
        return {
            **from_aws(names, found),
            "hostedZone": dns.get("HostedZoneId"),
            "tags": self.tags(aws, found["Arn"]),
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """UpdatePrivateDnsNamespace."""
        answer = aws.client("servicediscovery").update_private_dns_namespace(
            Id=resource_id,
            UpdaterRequestId=str(uuid.uuid4()),
            Namespace={"Description": new.get("description", "")},
        )
        self.wait(aws, answer["OperationId"])

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteNamespace."""
        answer = aws.client("servicediscovery").delete_namespace(Id=resource_id)
        self.wait(aws, answer["OperationId"])


class Service(_CloudMapHandler):
    """A name in a namespace; ECS registers the addresses of tasks under it."""

    required = ("name", "dnsConfig")
    optional = ("description", "forceDestroy", "healthCheckCustomConfig")
    nested: ClassVar = {
        "dnsConfig": ("dnsRecords", "namespaceId", "routingPolicy"),
        "dnsConfig.dnsRecords": ("ttl", "type"),
        "healthCheckCustomConfig": ("failureThreshold",),
    }
    defaults: ClassVar = {"dnsConfig.routingPolicy": "MULTIVALUE", "forceDestroy": False}
    outputs = ("arn", "namespaceId")
    remembered = ("forceDestroy",)
    same: ClassVar = {
        "dnsConfig": unordered,
        # AWS ignores the threshold and always answers 1:
        # https://docs.aws.amazon.com/cloud-map/latest/api/API_HealthCheckCustomConfig.html
        "healthCheckCustomConfig": block(failureThreshold=1),
    }

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateService."""
        request = to_aws({"name": "Name", "description": "Description"}, inputs)
        if custom := inputs.get("healthCheckCustomConfig"):
            names = {"failureThreshold": "FailureThreshold"}
            request["HealthCheckCustomConfig"] = to_aws(names, custom)
        answer = aws.client("servicediscovery").create_service(
            **request,
            CreatorRequestId=str(uuid.uuid4()),
            DnsConfig=_dns_to(inputs["dnsConfig"]),
            Tags=tag_list(inputs.get("tags", {})),
        )
        return str(answer["Service"]["Id"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """GetService."""
        found = aws.client("servicediscovery").get_service(Id=resource_id)["Service"]
        names = {"arn": "Arn", "name": "Name", "description": "Description"}
        custom = found.get("HealthCheckCustomConfig")
        dns = found["DnsConfig"]
        namespace = found.get("NamespaceId") or dns["NamespaceId"]
        return {
            **from_aws(names, found),
            "namespaceId": namespace,
            "dnsConfig": _dns_from(dns, namespace),
            "healthCheckCustomConfig": custom
            and from_aws({"failureThreshold": "FailureThreshold"}, custom),
            "tags": self.tags(aws, found["Arn"]),
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """UpdateService: description and the records' times to live."""
        if not changed - set(self.remembered):
            return
        records = _dns_to(new["dnsConfig"])["DnsRecords"]
        change = {"Description": new.get("description", ""), "DnsConfig": {"DnsRecords": records}}
        answer = aws.client("servicediscovery").update_service(Id=resource_id, Service=change)
        self.wait(aws, answer["OperationId"])

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteService; with `forceDestroy`, its instances first."""
        cloud_map = aws.client("servicediscovery")
        if state.get("forceDestroy"):
            for page in cloud_map.get_paginator("list_instances").paginate(ServiceId=resource_id):
                for instance in page["Instances"]:
                    answer = cloud_map.deregister_instance(
                        ServiceId=resource_id, InstanceId=instance["Id"]
                    )
                    self.wait(aws, answer["OperationId"])
        cloud_map.delete_service(Id=resource_id)


def _operation(aws: Aws, operation: str) -> Any:
    return aws.client("servicediscovery").get_operation(OperationId=operation)["Operation"]


def _dns_to(config: Props) -> dict[str, Any]:
    names = {"namespaceId": "NamespaceId", "routingPolicy": "RoutingPolicy"}
    records = [to_aws({"type": "Type", "ttl": "TTL"}, one) for one in config["dnsRecords"]]
    return {**to_aws(names, config), "DnsRecords": records}


def _dns_from(found: Mapping[str, Any], namespace: str) -> Props:
    records = [from_aws({"type": "Type", "ttl": "TTL"}, one) for one in found["DnsRecords"]]
    return {
        "namespaceId": namespace,
        "dnsRecords": records,
        **from_aws({"routingPolicy": "RoutingPolicy"}, found),
    }
