"""S3: buckets and their settings, which are resources of their own."""

from collections.abc import Mapping
from typing import Any, ClassVar

from localaws.provider.aws import Aws
from localaws.provider.resource import Handler, from_aws, tag_list, tag_map, to_aws
from localaws.provider.same_value import as_policy, unordered
from localaws.provider.wire import Props


class Bucket(Handler):
    """A bucket. Its id is its name."""

    required = ("bucket",)
    optional = ("forceDestroy",)
    defaults: ClassVar = {"forceDestroy": False}
    outputs = ("arn", "bucketDomainName")
    remembered = ("forceDestroy",)

    def create(self, aws: Aws, inputs: Props) -> str:
        """CreateBucket. S3 wants no location for us-east-1."""
        where = {} if aws.region == "us-east-1" else {"LocationConstraint": aws.region}
        request = {"CreateBucketConfiguration": where} if where else {}
        aws.client("s3").create_bucket(Bucket=inputs["bucket"], **request)
        return str(inputs["bucket"])

    def finish(self, aws: Aws, resource_id: str, inputs: Props) -> None:
        """Set the tags, which CreateBucket does not take for general purpose buckets."""
        if inputs.get("tags"):
            self.retag(aws, inputs, [], inputs["tags"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """HeadBucket and GetBucketTagging."""
        aws.client("s3").head_bucket(Bucket=resource_id)
        return {
            "bucket": resource_id,
            "arn": f"arn:{aws.partition}:s3:::{resource_id}",
            "bucketDomainName": f"{resource_id}.s3.amazonaws.com",
            "tags": _bucket_tags(aws.client("s3"), resource_id),
        }

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteBucket; with `forceDestroy`, what is in it first."""
        s3 = aws.client("s3")
        if state.get("forceDestroy"):
            for page in s3.get_paginator("list_object_versions").paginate(Bucket=resource_id):
                for one in (*page.get("Versions", []), *page.get("DeleteMarkers", [])):
                    s3.delete_object(Bucket=resource_id, Key=one["Key"], VersionId=one["VersionId"])
        s3.delete_bucket(Bucket=resource_id)

    def retag(self, aws: Aws, state: Props, removed: list[str], tags: Mapping[str, str]) -> None:
        """PutBucketTagging replaces all tags at once, or DeleteBucketTagging."""
        s3, bucket = aws.client("s3"), state["bucket"]
        if tags:
            s3.put_bucket_tagging(Bucket=bucket, Tagging={"TagSet": tag_list(tags)})
        else:
            s3.delete_bucket_tagging(Bucket=bucket)


def _bucket_tags(s3: Any, bucket: str) -> dict[str, str]:
    try:
        return tag_map(s3.get_bucket_tagging(Bucket=bucket)["TagSet"])
    except s3.exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "NoSuchTagSet":
            return {}
        raise


class _Setting(Handler):
    """One setting of a bucket, which is put as a whole. Its id is the bucket's name."""

    tagged = False

    def put(self, aws: Aws, inputs: Props) -> None:
        """Write the setting."""
        raise NotImplementedError

    def create(self, aws: Aws, inputs: Props) -> str:
        """Put the setting."""
        self.put(aws, inputs)
        return str(inputs["bucket"])

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """Put the setting over the old one."""
        self.put(aws, new)


class BucketPublicAccessBlock(_Setting):
    """Whether a bucket may be public."""

    required = ("bucket",)
    optional = ("blockPublicAcls", "blockPublicPolicy", "ignorePublicAcls", "restrictPublicBuckets")
    defaults: ClassVar = dict.fromkeys(optional, False)
    fields: ClassVar = {name: name[0].upper() + name[1:] for name in optional}

    def put(self, aws: Aws, inputs: Props) -> None:
        """PutPublicAccessBlock."""
        aws.client("s3").put_public_access_block(
            Bucket=inputs["bucket"],
            PublicAccessBlockConfiguration=to_aws(self.fields, inputs),
        )

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """GetPublicAccessBlock."""
        answer = aws.client("s3").get_public_access_block(Bucket=resource_id)
        found = answer["PublicAccessBlockConfiguration"]
        return {"bucket": resource_id, **from_aws(self.fields, found)}

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeletePublicAccessBlock."""
        aws.client("s3").delete_public_access_block(Bucket=resource_id)


class BucketServerSideEncryptionConfiguration(_Setting):
    """How a bucket encrypts what is put into it."""

    required = ("bucket", "rules")
    nested: ClassVar = {
        "rules": ("applyServerSideEncryptionByDefault",),
        "rules.applyServerSideEncryptionByDefault": ("sseAlgorithm",),
    }
    same: ClassVar = {"rules": unordered}

    def put(self, aws: Aws, inputs: Props) -> None:
        """PutBucketEncryption."""
        rules = [_encryption_to(rule) for rule in inputs["rules"]]
        aws.client("s3").put_bucket_encryption(
            Bucket=inputs["bucket"], ServerSideEncryptionConfiguration={"Rules": rules}
        )

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """GetBucketEncryption."""
        answer = aws.client("s3").get_bucket_encryption(Bucket=resource_id)
        rules = answer["ServerSideEncryptionConfiguration"]["Rules"]
        return {"bucket": resource_id, "rules": [_encryption_from(rule) for rule in rules]}

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteBucketEncryption."""
        aws.client("s3").delete_bucket_encryption(Bucket=resource_id)


_ALGORITHM = {"sseAlgorithm": "SSEAlgorithm"}


def _encryption_to(rule: Props) -> dict[str, Any]:
    default = to_aws(_ALGORITHM, rule["applyServerSideEncryptionByDefault"])
    return {"ApplyServerSideEncryptionByDefault": default}


def _encryption_from(rule: Mapping[str, Any]) -> Props:
    default = from_aws(_ALGORITHM, rule["ApplyServerSideEncryptionByDefault"])
    return {"applyServerSideEncryptionByDefault": default}


class BucketPolicy(_Setting):
    """Who may do what with a bucket."""

    required = ("bucket", "policy")
    same: ClassVar = {"policy": as_policy}

    def put(self, aws: Aws, inputs: Props) -> None:
        """PutBucketPolicy."""
        aws.client("s3").put_bucket_policy(Bucket=inputs["bucket"], Policy=inputs["policy"])

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """GetBucketPolicy."""
        answer = aws.client("s3").get_bucket_policy(Bucket=resource_id)
        return {"bucket": resource_id, "policy": answer["Policy"]}

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteBucketPolicy."""
        aws.client("s3").delete_bucket_policy(Bucket=resource_id)


class BucketLifecycleConfiguration(_Setting):
    """When a bucket drops what is in it."""

    required = ("bucket", "rules")
    nested: ClassVar = {
        "rules": ("abortIncompleteMultipartUpload", "expiration", "filter", "id", "status"),
        "rules.abortIncompleteMultipartUpload": ("daysAfterInitiation",),
        "rules.expiration": ("days",),
        "rules.filter": ("prefix",),
    }
    same: ClassVar = {"rules": unordered}

    def put(self, aws: Aws, inputs: Props) -> None:
        """PutBucketLifecycleConfiguration."""
        rules = [_lifecycle_to(rule) for rule in inputs["rules"]]
        aws.client("s3").put_bucket_lifecycle_configuration(
            Bucket=inputs["bucket"], LifecycleConfiguration={"Rules": rules}
        )

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """GetBucketLifecycleConfiguration."""
        answer = aws.client("s3").get_bucket_lifecycle_configuration(Bucket=resource_id)
        return {"bucket": resource_id, "rules": [_lifecycle_from(r) for r in answer["Rules"]]}

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """DeleteBucketLifecycle."""
        aws.client("s3").delete_bucket_lifecycle(Bucket=resource_id)


_RULE = {"id": "ID", "status": "Status"}
_BLOCKS = {
    "filter": ("Filter", {"prefix": "Prefix"}),
    "expiration": ("Expiration", {"days": "Days"}),
    "abortIncompleteMultipartUpload": (
        "AbortIncompleteMultipartUpload",
        {"daysAfterInitiation": "DaysAfterInitiation"},
    ),
}


def _lifecycle_to(rule: Props) -> dict[str, Any]:
    blocks = {f: to_aws(names, rule[key]) for key, (f, names) in _BLOCKS.items() if key in rule}
    return {**to_aws(_RULE, rule), **blocks}


def _lifecycle_from(rule: Mapping[str, Any]) -> Props:
    blocks = {key: from_aws(names, rule[f]) for key, (f, names) in _BLOCKS.items() if f in rule}
    return {**from_aws(_RULE, rule), **blocks}
