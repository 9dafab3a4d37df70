"""ECS: services, and waiting for their deployments."""

from collections.abc import Mapping
from typing import Any, ClassVar

from botocore.exceptions import ClientError

from localaws.provider.aws import Aws, says_gone
from localaws.provider.ecs import EcsHandler, ecs_tags, tags_of
from localaws.provider.resource import from_aws, to_aws
from localaws.provider.same_value import unordered
from localaws.provider.wire import Props


class Service(EcsHandler):
    """A service. Its id is its ARN."""

    required = ("name", "cluster", "taskDefinition")
    optional = (
        "availabilityZoneRebalancing",
        "deploymentCircuitBreaker",
        "deploymentMaximumPercent",
        "deploymentMinimumHealthyPercent",
        "desiredCount",
        "enableEcsManagedTags",
        "enableExecuteCommand",
        "launchType",
        "networkConfiguration",
        "propagateTags",
        "serviceRegistries",
        "waitForSteadyState",
    )
    nested: ClassVar = {
        "deploymentCircuitBreaker": ("enable", "rollback"),
        "networkConfiguration": ("assignPublicIp", "securityGroups", "subnets"),
        "serviceRegistries": ("registryArn",),
    }
    # https://github.com/hashicorp/terraform-provider-aws/blob/main/internal/service/ecs/service.go
    defaults: ClassVar = {
        "deploymentMaximumPercent": 200,
        "deploymentMinimumHealthyPercent": 100,
        "enableEcsManagedTags": False,
        "enableExecuteCommand": False,
        "networkConfiguration.assignPublicIp": False,
        "waitForSteadyState": False,
    }
    outputs = ("arn",)
    remembered = (
        "waitForSteadyState",
        # moto's services have no field for these.
        "availabilityZoneRebalancing",
        "deploymentCircuitBreaker",
        "deploymentMaximumPercent",
        "deploymentMinimumHealthyPercent",
        "enableEcsManagedTags",
        "enableExecuteCommand",
        "serviceRegistries",
    )
    same: ClassVar = {"networkConfiguration": unordered}
    timeout = 1200  # DefaultTimeout of create, update and delete in service.go
    fields: ClassVar = {
        "availabilityZoneRebalancing": "availabilityZoneRebalancing",
        "desiredCount": "desiredCount",
        "enableEcsManagedTags": "enableECSManagedTags",
        "enableExecuteCommand": "enableExecuteCommand",
        "launchType": "launchType",
        "propagateTags": "propagateTags",
        "taskDefinition": "taskDefinition",
    }
    rollout: ClassVar = {
        "deploymentCircuitBreaker": "deploymentCircuitBreaker",
        "deploymentMaximumPercent": "maximumPercent",
        "deploymentMinimumHealthyPercent": "minimumHealthyPercent",
    }

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateService."""
        answer = aws.client("ecs").create_service(
            serviceName=inputs["name"],
            cluster=inputs["cluster"],
            tags=ecs_tags(inputs.get("tags")),
            **self._request(inputs, {*self.inputs_of_update(), "launchType"}),
        )
        return str(answer["service"]["serviceArn"])

    def finish(self, aws: Aws, resource_id: str, inputs: Props) -> None:
        """Wait for the first deployment, where the program asks for it."""
        if inputs["waitForSteadyState"]:
            found = self._describe(aws, inputs["cluster"], resource_id)
            self._wait(aws, inputs["cluster"], resource_id, _primary(found or {}).get("id"))

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeServices. An import names it as in the real provider, `<cluster>/<name>`."""
        cluster = state.get("cluster") or aws.arn("ecs", f"cluster/{resource_id.split('/')[-2]}")
        found = self._describe(aws, cluster, resource_id.rpartition("/")[2])
        if found is None:
            return None
        registries = found.get("serviceRegistries")
        rollout = found.get("deploymentConfiguration", {})
        return {
            **from_aws(self.fields, found),
            **from_aws(self.rollout, rollout),
            "id": found["serviceArn"],
            "name": found["serviceName"],
            "cluster": cluster,
            "arn": found["serviceArn"],
            "networkConfiguration": _network_from(found),
            "serviceRegistries": registries[0] if registries else None,
            "tags": tags_of(found),
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """UpdateService with what changed, then wait where the program asks for it."""
        sent = changed & self.inputs_of_update()
        if sent & set(self.rollout):
            sent |= set(self.rollout)  # the deployment configuration goes as a whole
        if not sent:
            return
        answer = aws.client("ecs").update_service(
            service=resource_id, cluster=new["cluster"], **self._request(new, sent)
        )
        if new["waitForSteadyState"]:
            deployment = _primary(answer["service"]).get("id")
            self._wait(aws, new["cluster"], resource_id, deployment)

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """Scale to none, DeleteService, and wait until each task is stopping or stopped.

        https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeleteService.html
        """
        ecs, cluster = aws.client("ecs"), state["cluster"]
        if self._describe(aws, cluster, resource_id) is None:
            return
        ecs.update_service(service=resource_id, cluster=cluster, desiredCount=0)
        ecs.delete_service(service=resource_id, cluster=cluster)
        aws.wait(
            f"Service {resource_id} is drained",
            lambda: self._describe(aws, cluster, resource_id, drained=True),
            lambda found: found is None,
        )

    def inputs_of_update(self) -> set[str]:
        """The inputs that UpdateService takes."""
        blocks = {"networkConfiguration", "serviceRegistries", *self.rollout}
        return {*self.fields, *blocks} - {"launchType"}

    def _request(self, inputs: Props, names: set[str]) -> dict[str, Any]:
        wanted = {name: value for name, value in inputs.items() if name in names}
        request = to_aws(self.fields, wanted)
        if rollout := to_aws(self.rollout, wanted):
            request["deploymentConfiguration"] = rollout
        if network := wanted.get("networkConfiguration"):
            request["networkConfiguration"] = _network_to(network)
        if "serviceRegistries" in names:
            registry = inputs.get("serviceRegistries")
            request["serviceRegistries"] = [registry] if registry else []
        return request

    def _describe(self, aws: Aws, cluster: str, service: str, drained: bool = False) -> Any:
        """The service, or None when it is gone (`drained`: and its last tasks as well)."""
        try:
            answer = aws.client("ecs").describe_services(
                cluster=cluster, services=[service], include=["TAGS"]
            )
        except ClientError as error:
            if says_gone(error):
                return None
            raise
        present = ("ACTIVE", "DRAINING") if drained else ("ACTIVE",)
        found = [one for one in answer["services"] if one["status"] in present]
        return found[0] if found else None

    def _wait(self, aws: Aws, cluster: str, service: str, deployment: str | None) -> None:
        """Wait until this deployment is complete.

        Raises:
            RuntimeError: It failed, or another one took its place (as a roll-back does).
        """
        found = aws.wait(
            f"Service {service} has a steady state",
            lambda: self._describe(aws, cluster, service) or {},
            lambda answer: (
                _primary(answer).get("id") != deployment
                or _primary(answer).get("rolloutState") in ("COMPLETED", "FAILED")
            ),
        )
        ended = _primary(found)
        if ended.get("id") != deployment:
            raise RuntimeError(_failed(found, deployment, "it was rolled back or replaced"))
        if ended["rolloutState"] == "FAILED":
            raise RuntimeError(_failed(found, deployment, ended.get("rolloutStateReason")))


def _failed(service: Mapping[str, Any], deployment: str | None, reason: str | None) -> str:
    events = [event["message"] for event in service.get("events", [])[:5]]
    now = service.get("taskDefinition", "no task definition")
    return (
        f"The deployment {deployment} of the service did not succeed: {reason}. "
        f"The service is on {now}. Its last events: {events}"
    )


def _primary(service: Mapping[str, Any]) -> Any:
    """The deployment that the service is moving to."""
    for deployment in service.get("deployments", []):
        if deployment["status"] == "PRIMARY":
            return deployment
    return {}


def _network_to(network: Props) -> dict[str, Any]:
    public = "ENABLED" if network.get("assignPublicIp") else "DISABLED"
    return {
        "awsvpcConfiguration": {
            "subnets": network["subnets"],
            "securityGroups": network.get("securityGroups", []),
            "assignPublicIp": public,
        }
    }


def _network_from(service: Mapping[str, Any]) -> Props | None:
    # moto answers it with the deployment only.
    network = service.get("networkConfiguration") or _primary(service).get("networkConfiguration")
    if not network:
        return None
    found = network["awsvpcConfiguration"]
    return {
        "subnets": found["subnets"],
        "securityGroups": found.get("securityGroups", []),
        "assignPublicIp": found.get("assignPublicIp") == "ENABLED",
    }
