"""The slot table, and the items in it that Pulumi owns: settings, and versions of the instance."""

import json

import pulumi
import pulumi_aws as aws

from infra import instance_document
from infra.deployment import Deployment
from infra.hooks.hooks import Hooks
from run_isolation.table import HASH_KEY, TTL_ATTRIBUTE


class SlotTable(pulumi.ComponentResource):
    """Who may run without an own task, and who does.

    The settings are an item of their own: a TableItem deletes from its item whatever it did not
    write, and the runtime writes the others. So the limits are copied beside the holders, where
    one write can look at all (docs/decisions/10-slots-are-a-map-of-holders.md).
    """

    name: pulumi.Output[str]
    settings: aws.dynamodb.TableItem
    instance: aws.dynamodb.TableItem
    """The newest version of the Dagster instance."""

    def __init__(self, deployment: Deployment, hooks: Hooks) -> None:
        super().__init__("run-isolation:index:SlotTable", "slot-table")
        table = aws.dynamodb.Table(
            "slots",
            name=deployment.table,
            # A few requests per run; encrypted at rest with DynamoDB's own key, as every table is.
            billing_mode="PAY_PER_REQUEST",
            hash_key=HASH_KEY,
            attributes=[{"name": HASH_KEY, "type": "S"}],
            ttl={"attribute_name": TTL_ATTRIBUTE, "enabled": True},
            point_in_time_recovery={"enabled": True},
            deletion_protection_enabled=deployment.config.protect,
            tags=deployment.tags(),
            # Pulumi's own protection, too: `pulumi destroy` then stops before it has deleted
            # anything, not halfway.
            opts=pulumi.ResourceOptions(parent=self, protect=deployment.config.protect),
        )
        item = deployment.non_isolated_runs.to_item()
        self.settings = aws.dynamodb.TableItem(
            "settings",
            table_name=table.name,
            hash_key=table.hash_key,
            item=json.dumps(item, sort_keys=True),
            opts=pulumi.ResourceOptions(
                parent=table,
                delete_before_replace=True,  # there is one
                hooks=pulumi.ResourceHookBinding(
                    before_create=[hooks.clear_limits, hooks.remove_leftover_item],
                    before_update=[hooks.clear_limits],
                    after_create=[hooks.set_limits],
                    after_update=[hooks.set_limits],
                ),
            ),
        )
        self.instance = aws.dynamodb.TableItem(
            "instance",
            table_name=table.name,
            hash_key=table.hash_key,
            item=json.dumps(instance_document.render(deployment).to_item(), sort_keys=True),
            opts=pulumi.ResourceOptions(
                parent=table,
                # Another version is another item. The old one stays: tasks still use it.
                replace_on_changes=["item"],
                retain_on_delete=True,
                # So a version that there was before is there already.
                hooks=pulumi.ResourceHookBinding(before_create=[hooks.remove_leftover_item]),
            ),
        )
        self.name = table.name
        self.register_outputs({})
