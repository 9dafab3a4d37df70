"""What the real Cloud Map refuses or allows and moto does not."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.account import LocalAccount


def create(client: Any, name: str, vpc: str) -> str:
    operation = client.create_private_dns_namespace(Name=name, Vpc=vpc)["OperationId"]
    found = client.get_operation(OperationId=operation)["Operation"]
    return str(found["Targets"]["NAMESPACE"])


def test_namespaces_of_one_vpc(local_account: LocalAccount) -> None:
    client = local_account.client("servicediscovery")
    vpc = f"vpc-{uuid.uuid4().hex[:8]}"
    create(client, "a.internal", vpc)
    create(client, "b.internal", vpc)
    create(client, "a.internal", f"{vpc}-other")
    with pytest.raises(ClientError, match="ConflictingDomainExists"):
        create(client, "a.internal", vpc)


def test_deletion_goes_from_the_inside_out_and_takes_the_hosted_zone(
    local_account: LocalAccount,
) -> None:
    client = local_account.client("servicediscovery")
    name = f"{uuid.uuid4().hex[:8]}.internal"
    namespace = create(client, name, "vpc-1")
    records = {"DnsRecords": [{"Type": "A", "TTL": 10}]}
    service = client.create_service(Name="s", NamespaceId=namespace, DnsConfig=records)["Service"]
    client.register_instance(
        ServiceId=service["Id"], InstanceId="i", Attributes={"AWS_INSTANCE_IPV4": "127.64.0.1"}
    )
    with pytest.raises(ClientError, match="ResourceInUse"):
        client.delete_namespace(Id=namespace)
    with pytest.raises(ClientError, match="ResourceInUse"):
        client.delete_service(Id=service["Id"])
    client.deregister_instance(ServiceId=service["Id"], InstanceId="i")
    client.delete_service(Id=service["Id"])

    def has_zone() -> bool:
        zones = local_account.client("route53").list_hosted_zones()["HostedZones"]
        return any(zone["Name"].startswith(name) for zone in zones)

    assert has_zone()
    client.delete_namespace(Id=namespace)
    assert not has_zone()
    with pytest.raises(ClientError, match="ServiceNotFound"):
        client.delete_service(Id=service["Id"])


def test_a_services_namespace_may_be_named_in_its_dns_config(local_account: LocalAccount) -> None:
    client = local_account.client("servicediscovery")
    namespace = create(client, f"{uuid.uuid4().hex[:8]}.internal", "vpc-1")
    config = {"NamespaceId": namespace, "DnsRecords": [{"Type": "A", "TTL": 10}]}
    service = client.create_service(Name="s", DnsConfig=config)["Service"]
    assert service["NamespaceId"] == namespace


def test_a_namespace_has_one_service_of_a_name(local_account: LocalAccount) -> None:
    client = local_account.client("servicediscovery")
    one, other = (create(client, f"{uuid.uuid4().hex[:8]}.internal", "vpc-1") for _ in range(2))
    records = {"DnsRecords": [{"Type": "A", "TTL": 10}]}
    service = client.create_service(Name="s", NamespaceId=one, DnsConfig=records)["Service"]
    with pytest.raises(ClientError, match="ServiceAlreadyExists"):
        client.create_service(Name="S", DnsConfig={"NamespaceId": one, **records})
    client.create_service(Name="s", NamespaceId=other, DnsConfig=records)
    client.delete_service(Id=service["Id"])
    client.create_service(Name="s", NamespaceId=one, DnsConfig=records)
