"""Cloud Map names over DNS."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from localaws.account import LocalAccount
from tests.localaws.conftest import Cluster, lookup
from tests.waiting import eventually


@pytest.fixture
def namespace() -> str:
    return f"{uuid.uuid4().hex[:8]}.internal"


def register(
    account: LocalAccount, registry: str, *addresses: str, region: str | None = None
) -> Any:
    cloudmap = account.client("servicediscovery")
    service = registry.rsplit("/", 1)[-1]
    for address in addresses:
        cloudmap.register_instance(
            ServiceId=service, InstanceId=address, Attributes={"AWS_INSTANCE_IPV4": address}
        )
    return lambda address, status: cloudmap.update_instance_custom_health_status(
        ServiceId=service, InstanceId=address, Status=status
    )


def test_a_name_has_the_addresses_of_its_instances_and_the_services_ttl(
    cluster: Cluster, local_account: LocalAccount, namespace: str
) -> None:
    registry = cluster.registry(namespace, "sales")
    name = f"sales.{namespace}"
    with pytest.raises(LookupError):
        lookup(local_account, name)
    register(local_account, registry, "127.64.0.1", "127.64.0.2")
    assert lookup(local_account, name) == [("127.64.0.1", 10), ("127.64.0.2", 10)]
    assert lookup(local_account, name.upper()) == lookup(local_account, name)


def test_other_names_do_not_exist(
    cluster: Cluster, local_account: LocalAccount, namespace: str
) -> None:
    register(local_account, cluster.registry(namespace, "sales"), "127.64.0.1")
    for name in (namespace, f"other.{namespace}", f"x.sales.{namespace}", "localhost", "."):
        with pytest.raises(LookupError):
            lookup(local_account, name)


@pytest.mark.parametrize("kind", ["AAAA", "SRV", "TXT"])
def test_other_types_of_a_name_are_empty(
    cluster: Cluster, local_account: LocalAccount, namespace: str, kind: str
) -> None:
    register(local_account, cluster.registry(namespace, "sales"), "127.64.0.1")
    assert lookup(local_account, f"sales.{namespace}", kind) == []


def test_unhealthy_instances_are_left_out_unless_all_are(
    cluster: Cluster, local_account: LocalAccount, namespace: str
) -> None:
    name = f"sales.{namespace}"
    registry = cluster.registry(namespace, "sales")
    set_health = register(local_account, registry, "127.64.0.1", "127.64.0.2")
    set_health("127.64.0.1", "UNHEALTHY")
    assert lookup(local_account, name) == [("127.64.0.2", 10)]
    set_health("127.64.0.2", "UNHEALTHY")
    assert len(lookup(local_account, name)) == 2


def test_without_a_health_check_all_are_answered(
    cluster: Cluster, local_account: LocalAccount, namespace: str
) -> None:
    registry = cluster.registry(namespace, "web", checked=False)
    set_health = register(local_account, registry, "127.64.0.1", "127.64.0.2")
    with pytest.raises(ClientError, match="CustomHealthNotFound"):
        set_health("127.64.0.1", "UNHEALTHY")
    assert len(lookup(local_account, f"web.{namespace}")) == 2
    assert len(discovered(local_account, namespace, HealthStatus="UNHEALTHY")) == 2


def test_an_answer_holds_at_most_eight_addresses(
    cluster: Cluster, local_account: LocalAccount, namespace: str
) -> None:
    addresses = [f"127.64.0.{n}" for n in range(1, 11)]
    register(local_account, cluster.registry(namespace, "sales"), *addresses)
    seen = {
        address for _ in range(20) for address, _ in lookup(local_account, f"sales.{namespace}")
    }
    assert len(lookup(local_account, f"sales.{namespace}")) == 8
    assert seen == set(addresses)


def discovered(account: LocalAccount, namespace: str, **more: Any) -> list[Any]:
    cloudmap = account.client("servicediscovery")
    found = cloudmap.discover_instances(NamespaceName=namespace, ServiceName="web", **more)
    return list(found["Instances"])


def test_discover_instances_finds_a_services_tasks(
    cluster: Cluster, local_account: LocalAccount, namespace: str
) -> None:
    registry = cluster.registry(namespace, "web")
    definition = cluster.register(cluster.container("exec sleep 60"))
    cluster.create_service(definition, serviceRegistries=[{"registryArn": registry}])
    cluster.await_rollout()
    (task,) = cluster.service_tasks()
    (found,) = discovered(local_account, namespace)
    assert found["InstanceId"] == task.id
    assert found["Attributes"]["AWS_INSTANCE_IPV4"] == task.placement.address
    assert found["Attributes"]["ECS_SERVICE_NAME"] == "web"
    cluster.ecs.update_service(cluster=cluster.name, service="web", desiredCount=0)
    eventually(lambda: discovered(local_account, namespace) == [])


@pytest.mark.parametrize("checked", [True, False])
def test_a_name_leads_to_a_task_before_it_is_healthy_where_no_other_is(
    cluster: Cluster, local_account: LocalAccount, namespace: str, checked: bool
) -> None:
    registry = cluster.registry(namespace, "web", checked=checked)
    never = {"command": ["CMD-SHELL", "exit 1"], "interval": 5, "retries": 1, "startPeriod": 300}
    definition = cluster.register(cluster.container("exec sleep 60", healthCheck=never))
    cluster.create_service(definition, serviceRegistries=[{"registryArn": registry}])
    eventually(lambda: cluster.service_tasks() != [])
    (task,) = cluster.service_tasks()
    task.wait_for("ACTIVATING")
    eventually(lambda: discovered(local_account, namespace) != [])
    assert lookup(local_account, f"web.{namespace}") == [(task.placement.address, 10)]
    # Who asks for healthy ones gets none of those that have a check.
    healthy = discovered(local_account, namespace, HealthStatus="HEALTHY")
    assert len(healthy) == (0 if checked else 1)


def test_cloud_map_learns_later_than_ecs_that_a_task_is_healthy(
    cluster: Cluster,
    local_account: LocalAccount,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    monkeypatch.setattr(local_account.conditions, "health_lag_seconds", 3600)
    registry = cluster.registry(namespace, "web")
    register(local_account, registry, "127.64.0.1")("127.64.0.1", "UNHEALTHY")
    check = {"command": ["CMD-SHELL", f"test -e {tmp_path}/up"], "interval": 5, "startPeriod": 300}
    definition = cluster.register(cluster.container("exec sleep 60", healthCheck=check))
    cluster.create_service(definition, serviceRegistries=[{"registryArn": registry}])
    eventually(lambda: len(discovered(local_account, namespace)) == 2)
    (task,) = cluster.service_tasks()
    (tmp_path / "up").touch()
    task.wait_until(lambda one: one.ready, 10)
    # Both are unhealthy still, as far as Cloud Map knows.
    assert len(lookup(local_account, f"web.{namespace}")) == 2

    monkeypatch.setattr(local_account.conditions, "health_lag_seconds", 0.01)
    cluster.ecs.update_service(cluster=cluster.name, service="web", forceNewDeployment=True)
    task.wait_for("STOPPED")
    (task,) = cluster.service_tasks()
    eventually(lambda: lookup(local_account, f"web.{namespace}") == [(task.placement.address, 10)])


def test_a_task_loses_its_name_before_it_is_told_to_stop(
    cluster: Cluster, local_account: LocalAccount, namespace: str
) -> None:
    registry = cluster.registry(namespace, "web")
    script = "trap 'echo told; sleep 0.3; exit' TERM; echo up; while :; do sleep 0.05; done"
    definition = cluster.register(cluster.container(script))
    cluster.create_service(definition, serviceRegistries=[{"registryArn": registry}])
    cluster.await_rollout()
    (task,) = cluster.service_tasks()
    eventually(lambda: cluster.logs(task) == ["up"])
    cluster.ecs.update_service(cluster=cluster.name, service="web", desiredCount=0)
    eventually(lambda: cluster.logs(task) == ["up", "told"])
    with pytest.raises(LookupError):
        lookup(local_account, f"web.{namespace}")
    assert task.status == "STOPPING"
