"""The stack config, typed: every key of the ``run-isolation:`` namespace."""

import re
from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from infra.config.base import Part, around, host_label
from infra.config.deployment_settings import DeploymentSettings
from infra.config.fields import (
    Cidr,
    RetentionDays,
    SubnetId,
    TagKey,
    TagValue,
    VpcId,
    refused,
)
from infra.config.instance import Instance
from infra.config.location import CodeLocation
from run_isolation.fargate import nearest_number

ROLE_NAME_LIMIT: Final = 64
"""https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html"""


class Network(Part):
    """Your VPC, or the block of one of our own."""

    vpc_id: VpcId | None = None
    subnet_ids: list[SubnetId] | None = None
    assign_public_ip: bool = False
    cidr: Cidr | None = None
    nat_gateways: int | None = None

    @field_validator("subnet_ids")
    @classmethod
    def _with_vpc(cls, subnets: list[str] | None, info: ValidationInfo) -> list[str] | None:
        if "vpc_id" in info.data and (subnets is None) != (info.data["vpc_id"] is None):
            raise refused(
                "vpcId and subnetIds together, or neither",
                of_parent=True,
                value=("vpcId without subnetIds" if subnets is None else "subnetIds without vpcId"),
            )
        # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_AwsVpcConfiguration.html
        if subnets is not None and not (1 <= len(set(subnets)) == len(subnets) <= 16):
            raise refused("1 to 16 subnets, each once, best in several zones")
        return subnets

    @field_validator("assign_public_ip")
    @classmethod
    def _only_with_vpc(cls, value: bool, info: ValidationInfo) -> bool:
        if value and info.data.get("vpc_id", "") is None:
            raise refused("true only with vpcId: our own VPC has NAT gateways", "false")
        return value

    @field_validator("cidr", "nat_gateways")
    @classmethod
    def _only_without_vpc(cls, value: Any, info: ValidationInfo) -> Any:
        if value is not None and info.data.get("vpc_id") is not None:
            raise refused("absent: with vpcId the VPC is yours")
        return value

    @field_validator("nat_gateways")
    @classmethod
    def _one_or_two(cls, count: int | None) -> int | None:
        if count not in (None, 1, 2):
            raise refused("1, or 2 to outlive the loss of a zone", nearest_number(count, (1, 2)))
        return count


def _location_name(name: str, info: ValidationInfo) -> str:
    known = around(info)
    longest = ROLE_NAME_LIMIT - len(f"run-isolation-{known.deployment}--execution")
    shape = r"[a-z](?:[a-z0-9_-]*[a-z0-9])?"
    if not re.fullmatch(shape, name) or len(name) > longest:
        mended = re.sub(r"[^a-z0-9_-]+", "-", name.lower())[:longest].strip("-_0123456789")
        raise refused(
            f"1 to {longest} lower-case letters, digits, - and _, a letter first, - and _ not last "
            f"(an IAM role's name has at most {ROLE_NAME_LIMIT} characters)",
            mended or None,
        )
    same = [other for other in known.locations if host_label(other) == host_label(name)]
    if len(same) > 1:
        raise refused(
            f"names that differ in more than - and _: {' and '.join(sorted(same))} are "
            f"both the host {host_label(name)}"
        )
    return name


class Config(Part):
    """The whole ``run-isolation:`` namespace."""

    deployment_settings: DeploymentSettings = DeploymentSettings()
    isolate_on_out_of_memory: bool = True
    """Whether a non-isolated run that runs out of memory is executed again, isolated."""
    code_locations: dict[Annotated[str, AfterValidator(_location_name)], CodeLocation] = Field(
        description="a mapping of code locations by name"
    )
    network: Network = Network()
    instance: Instance = Field(
        description="database, or databaseUrlSecretArn: the ARN of the secret that holds "
        "the Postgres URL of your Dagster instance"
    )
    log_retention_days: RetentionDays = 30
    protect: bool = True
    """Whether what can't be made again (slot table, bucket of logs) refuses to be deleted."""
    tags: dict[TagKey, TagValue] = Field(default_factory=dict)
    propagate_tags: list[TagKey] = Field(default_factory=list)
    """Tags of Dagster runs that their tasks get, too."""

    @field_validator("tags")
    @classmethod
    def _few_tags(cls, tags: dict[str, str]) -> dict[str, str]:
        if len(tags) > 40:
            raise refused("up to 40 tags: AWS takes 50, some are ours", value=f"{len(tags)} tags")
        return tags

    @field_validator("propagate_tags")
    @classmethod
    def _few_run_tags(cls, keys: list[str]) -> list[str]:
        if len(set(keys)) != len(keys) or len(keys) > 10:
            raise refused("up to 10 keys of run tags, each once", value=f"{len(keys)} keys")
        return keys
