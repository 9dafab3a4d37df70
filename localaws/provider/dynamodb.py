"""DynamoDB: tables."""

from collections.abc import Mapping
from typing import Any, ClassVar

from localaws.provider.aws import Aws
from localaws.provider.resource import Handler, tag_list, tag_map
from localaws.provider.same_value import block, unordered
from localaws.provider.wire import Props


class Table(Handler):
    """A table that is paid per request. Its id is its name."""

    required = ("name", "hashKey", "attributes", "billingMode")
    optional = ("deletionProtectionEnabled", "pointInTimeRecovery", "ttl")
    nested: ClassVar = {
        "attributes": ("name", "type"),
        "pointInTimeRecovery": ("enabled",),
        "ttl": ("attributeName", "enabled"),
    }
    defaults: ClassVar = {"deletionProtectionEnabled": False, "ttl.enabled": False}
    outputs = ("arn",)
    same: ClassVar = {
        "attributes": unordered,
        "pointInTimeRecovery": block(enabled=False),
    }

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateTable."""
        aws.client("dynamodb").create_table(
            TableName=inputs["name"],
            BillingMode=inputs["billingMode"],
            KeySchema=[{"AttributeName": inputs["hashKey"], "KeyType": "HASH"}],
            AttributeDefinitions=_attributes(inputs),
            DeletionProtectionEnabled=inputs["deletionProtectionEnabled"],
            Tags=tag_list(inputs.get("tags", {})),
        )
        return str(inputs["name"])

    def finish(self, aws: Aws, resource_id: str, inputs: Props) -> None:
        """Wait until it is active, then set what CreateTable does not take."""
        self._wait(aws, resource_id)
        later = {"ttl", "pointInTimeRecovery"} & inputs.keys()
        self.update(aws, resource_id, {}, inputs, later)

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """DescribeTable and its neighbours."""
        dynamodb = aws.client("dynamodb")
        found = dynamodb.describe_table(TableName=resource_id)["Table"]
        hash_key = next(key for key in found["KeySchema"] if key["KeyType"] == "HASH")
        tags = dynamodb.list_tags_of_resource(ResourceArn=found["TableArn"])["Tags"]
        return {
            "arn": found["TableArn"],
            "name": found["TableName"],
            "hashKey": hash_key["AttributeName"],
            "attributes": [
                {"name": one["AttributeName"], "type": one["AttributeType"]}
                for one in found["AttributeDefinitions"]
            ],
            "billingMode": found.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED"),
            "deletionProtectionEnabled": found.get("DeletionProtectionEnabled", False),
            "pointInTimeRecovery": _recovery(dynamodb, resource_id),
            "ttl": _ttl(dynamodb, resource_id),
            "tags": tag_map(tags),
        }

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """One call for each kind of setting, as DynamoDB wants."""
        dynamodb = aws.client("dynamodb")
        settings: dict[str, Any] = {}
        if "deletionProtectionEnabled" in changed:
            settings["DeletionProtectionEnabled"] = new["deletionProtectionEnabled"]
        if changed & {"billingMode", "attributes"}:
            settings |= {
                "BillingMode": new["billingMode"],
                "AttributeDefinitions": _attributes(new),
            }
        if settings:
            dynamodb.update_table(TableName=resource_id, **settings)
            self._wait(aws, resource_id)
        if "pointInTimeRecovery" in changed:
            recovery = new.get("pointInTimeRecovery", {"enabled": False})
            dynamodb.update_continuous_backups(
                TableName=resource_id,
                PointInTimeRecoverySpecification={
                    "PointInTimeRecoveryEnabled": recovery["enabled"]
                },
            )
        if "ttl" in changed:
            self._set_ttl(dynamodb, resource_id, old.get("ttl"), new.get("ttl"))

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteTable, then wait until it is gone."""
        dynamodb = aws.client("dynamodb")
        dynamodb.delete_table(TableName=resource_id)
        dynamodb.get_waiter("table_not_exists").wait(
            TableName=resource_id, WaiterConfig={"Delay": 1, "MaxAttempts": int(aws.timeout)}
        )

    def retag(self, aws: Aws, state: Props, removed: list[str], tags: Mapping[str, str]) -> None:
        """TagResource and UntagResource."""
        dynamodb = aws.client("dynamodb")
        if removed:
            dynamodb.untag_resource(ResourceArn=state["arn"], TagKeys=removed)
        if tags:
            dynamodb.tag_resource(ResourceArn=state["arn"], Tags=tag_list(tags))

    def _wait(self, aws: Aws, table: str) -> None:
        dynamodb = aws.client("dynamodb")
        aws.wait(
            f"Table {table} is active",
            lambda: dynamodb.describe_table(TableName=table)["Table"]["TableStatus"],
            lambda status: bool(status == "ACTIVE"),
        )

    def _set_ttl(self, dynamodb: Any, table: str, old: Props | None, new: Props | None) -> None:
        """Switch expiry on or off; switching off has to name the attribute as well."""
        named = new or old or {}
        dynamodb.update_time_to_live(
            TableName=table,
            TimeToLiveSpecification={
                "Enabled": bool(new and new.get("enabled")),
                "AttributeName": named["attributeName"],
            },
        )


def _attributes(inputs: Props) -> list[dict[str, str]]:
    return [
        {"AttributeName": one["name"], "AttributeType": one["type"]} for one in inputs["attributes"]
    ]


def _recovery(dynamodb: Any, table: str) -> Props:
    answer = dynamodb.describe_continuous_backups(TableName=table)["ContinuousBackupsDescription"]
    status = answer["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    return {"enabled": status == "ENABLED"}


def _ttl(dynamodb: Any, table: str) -> Props | None:
    found = dynamodb.describe_time_to_live(TableName=table)["TimeToLiveDescription"]
    if found["TimeToLiveStatus"] not in ("ENABLED", "ENABLING"):
        return None
    return {"attributeName": found["AttributeName"], "enabled": True}
