"""A bucket that is the deployment's own: of compute logs, or of outputs."""

import pulumi
import pulumi_aws as aws

from infra import policy_statements
from infra.deployment import COMPUTE_LOGS, CREATE, OUTPUTS, Deployment
from infra.statement_builders import document


class PrivateBucket(pulumi.ComponentResource):
    """A bucket that nobody else reads, encrypted, and protected as the stack is.

    Args:
        deployment: The deployment.
        component: What it is called as a type of Pulumi's.
        purpose: What it is for: the end of its name.
        days: After which what is in it goes; None: never.
    """

    parts: list[pulumi.CustomResource]

    def __init__(
        self, deployment: Deployment, component: str, purpose: str, *, days: int | None
    ) -> None:
        super().__init__(f"run-isolation:index:{component}", purpose)
        protect = deployment.config.protect
        name = deployment.own_bucket(purpose)
        bucket = aws.s3.Bucket(
            purpose,
            bucket=name,
            force_destroy=not protect,
            tags=deployment.tags(),
            opts=pulumi.ResourceOptions(parent=self, protect=protect),
        )
        inside = pulumi.ResourceOptions(parent=bucket)
        block = aws.s3.BucketPublicAccessBlock(
            purpose,
            bucket=bucket.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=inside,
        )
        encryption = aws.s3.BucketServerSideEncryptionConfiguration(
            purpose,
            bucket=bucket.id,
            rules=[{"apply_server_side_encryption_by_default": {"sse_algorithm": "AES256"}}],
            opts=inside,
        )
        policy = aws.s3.BucketPolicy(
            purpose,
            bucket=bucket.id,
            policy=document(policy_statements.encrypted_transport(deployment, name)),
            # S3 refuses two changes of a bucket's access at once.
            opts=pulumi.ResourceOptions.merge(inside, pulumi.ResourceOptions(depends_on=[block])),
        )
        expire: aws.s3.BucketLifecycleConfigurationRuleArgsDict = {
            "id": "expire",
            "status": "Enabled",
            "filter": {"prefix": ""},
            "abort_incomplete_multipart_upload": {"days_after_initiation": 1},
        }
        if days is not None:
            expire["expiration"] = {"days": days}
        rules = aws.s3.BucketLifecycleConfiguration(
            purpose, bucket=bucket.id, rules=[expire], opts=inside
        )
        self.parts = [bucket, block, encryption, policy, rules]
        self.register_outputs({})


def own_buckets(deployment: Deployment) -> list[pulumi.CustomResource]:
    """The buckets that the config asks for, with all that belongs to them."""
    config, parts = deployment.config, []
    if config.instance.compute_logs_bucket == CREATE:
        days = config.log_retention_days
        parts += PrivateBucket(deployment, "ComputeLogs", COMPUTE_LOGS, days=days).parts
    if config.instance.io == CREATE:
        # Whoever reads an output may do so years later: only the parts of broken uploads go.
        parts += PrivateBucket(deployment, "Outputs", OUTPUTS, days=None).parts
    return parts
