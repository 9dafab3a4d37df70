"""What the Dagster instance of all processes shares, beside the user's own database."""

import pulumi
import pulumi_aws as aws

from infra import policy_statements
from infra.deployment import Deployment
from infra.statement_builders import document


class ComputeLogs(pulumi.ComponentResource):
    """A private bucket for what the steps of runs print."""

    parts: list[pulumi.CustomResource]

    def __init__(self, deployment: Deployment, name: str) -> None:
        super().__init__("run-isolation:index:ComputeLogs", "compute-logs")
        protect = deployment.config.protect
        bucket = aws.s3.Bucket(
            "compute-logs",
            bucket=name,
            force_destroy=not protect,
            tags=deployment.tags(),
            opts=pulumi.ResourceOptions(parent=self, protect=protect),
        )
        inside = pulumi.ResourceOptions(parent=bucket)
        block = aws.s3.BucketPublicAccessBlock(
            "compute-logs",
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=inside,
        )
        encryption = aws.s3.BucketServerSideEncryptionConfiguration(
            "compute-logs",
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=inside,
        )
        policy = aws.s3.BucketPolicy(
            "compute-logs",
            bucket=bucket.id,
            policy=document(policy_statements.encrypted_transport(deployment, name)),
            # S3 refuses two changes of a bucket's access at once.
            opts=pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=[block])),
        )
        lifecycle = aws.s3.BucketLifecycleConfiguration(
            "compute-logs",
            bucket=bucket.id,
            rules=[
                {
                    "id": "expire",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "expiration": {"days": deployment.config.log_retention_days},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
                }
            ],
            opts=inside,
        )
        self.parts = [bucket, block, encryption, policy, lifecycle]
        self.register_outputs({})
