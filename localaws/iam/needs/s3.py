"""What calls of S3 need: told by method, path and query.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/using-with-s3-policy-actions.html
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final
from urllib.parse import unquote
from xml.sax.saxutils import unescape

from moto.s3.models import s3_backends

from localaws.iam.needs import kms
from localaws.iam.needs.ask import PARTITION, Ask, Need, Row

#: Of an object: (method, the query's word) -> action.
_OBJECT: Final = {
    ("GET", ""): "GetObject",
    ("HEAD", ""): "GetObject",
    ("PUT", ""): "PutObject",
    ("DELETE", ""): "DeleteObject",
    ("GET", "versionId"): "GetObjectVersion",
    ("HEAD", "versionId"): "GetObjectVersion",
    ("DELETE", "versionId"): "DeleteObjectVersion",
    ("POST", "uploads"): "PutObject",
    ("POST", "uploadId"): "PutObject",
    ("PUT", "uploadId"): "PutObject",
    ("DELETE", "uploadId"): "AbortMultipartUpload",
    ("GET", "uploadId"): "ListMultipartUploadParts",
    ("GET", "tagging"): "GetObjectTagging",
    ("PUT", "tagging"): "PutObjectTagging",
}
#: Of a bucket.
_BUCKET: Final = {
    ("GET", ""): "ListBucket",
    ("HEAD", ""): "ListBucket",
    ("GET", "uploads"): "ListBucketMultipartUploads",
    ("GET", "versions"): "ListBucketVersions",
    ("GET", "location"): "GetBucketLocation",
    ("POST", "delete"): "DeleteObject",
}
_WORDS: Final = (
    *("uploadId", "uploads", "versionId", "versions", "tagging", "location", "delete", "policy"),
    *("lifecycle", "encryption", "publicAccessBlock", "acl", "cors", "versioning", "website"),
)

#: The keys in the body of DeleteObjects.
_KEYS: Final = re.compile(r"<Key>(.*?)</Key>", re.DOTALL)


def bucket_of(resource: str) -> str | None:
    """Return the name of the bucket that an ARN is about."""
    prefix = f"arn:{PARTITION}:s3:::"
    return resource.removeprefix(prefix).split("/")[0] if resource.startswith(prefix) else None


def row(ask: Ask) -> Row | None:
    """Return the row of a call, or None where the table has none."""
    method, _, path = ask.operation.partition(" ")
    bucket, _, key = path.lstrip("/").partition("/")
    word = next((one for one in _WORDS if one in ask.query), "")
    if not bucket:
        return _buckets if (method, word) == ("GET", "") else None
    action = (_OBJECT if key else _BUCKET).get((method, word))
    if action is None:
        return None
    return (
        (lambda _: _object(ask, action, bucket, key))
        if key
        else (lambda _: _bucket(ask, action, bucket))
    )


def _buckets(ask: Ask) -> Iterator[Need]:
    yield Need("s3:ListAllMyBuckets", "*")


def _object(ask: Ask, action: str, bucket: str, key: str) -> Iterator[Need]:
    yield Need(f"s3:{action}", _arn(bucket, key))
    if action == "PutObject":
        yield from _encrypt(ask, bucket, key)
    elif action == "GetObject" and ask.operation.startswith("GET "):
        yield from _decrypt(ask, bucket, key)
    if source := ask.headers.get("x-amz-copy-source"):
        name, _, source_key = unquote(source).split("?")[0].lstrip("/").partition("/")
        yield Need("s3:GetObject", _arn(name, source_key))
        yield from _decrypt(ask, name, source_key)
    if action == "GetObject" and not _exists(ask, bucket, key):
        # Who may not list is not told that there is nothing:
        # https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html
        yield Need("s3:ListBucket", _arn(bucket))


def _bucket(ask: Ask, action: str, bucket: str) -> Iterator[Need]:
    if action == "DeleteObject":
        for key in _KEYS.findall(ask.body.decode()):
            yield Need("s3:DeleteObject", _arn(bucket, unescape(key)))
        return
    keys = {"prefix": "s3:prefix", "delimiter": "s3:delimiter", "max-keys": "s3:max-keys"}
    context = {keys[name]: value for name, value in ask.query.items() if name in keys}
    yield Need(f"s3:{action}", _arn(bucket), context)


def _arn(bucket: str, key: str = "") -> str:
    return f"arn:{PARTITION}:s3:::{bucket}/{key}" if key else f"arn:{PARTITION}:s3:::{bucket}"


def _encrypt(ask: Ask, bucket: str, key: str) -> Iterator[Need]:
    """The customer's key that an object is to have: the request's, or else the bucket's.

    Parts of an upload, and its end, use the data key that its beginning has made.
    https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
    """
    found = _bucket_or_none(ask, bucket)
    default = ((found and found.encryption) or {}).get("Rule", {})
    settings = default.get("ApplyServerSideEncryptionByDefault", {})
    upload = ask.query.get("uploadId")
    if upload is not None:
        begun = found.multiparts.get(upload) if found else None
        name = (begun and begun.kms_key_id) or settings.get("KMSMasterKeyID")
    elif "x-amz-server-side-encryption" in ask.headers:
        name = ask.headers.get("x-amz-server-side-encryption-aws-kms-key-id")
    else:
        name = settings.get("KMSMasterKeyID")
    action = "GenerateDataKey" if upload is None else "Decrypt"
    yield from _use(ask, action, name, bucket, key, default.get("BucketKeyEnabled"))


def _decrypt(ask: Ask, bucket: str, key: str) -> Iterator[Need]:
    """The customer's key that an object has."""
    found = _bucket_or_none(ask, bucket)
    stored = found.keys.get(key) if found else None
    if stored is not None:
        name, of_bucket = stored.kms_key_id, stored.bucket_key_enabled
        yield from _use(ask, "Decrypt", name, bucket, key, of_bucket)


def _use(
    ask: Ask, action: str, name: str | None, bucket: str, key: str, of_bucket: Any
) -> Iterator[Need]:
    """The context is the object's ARN, or the bucket's with a key of the bucket.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucket-key.html
    """
    # moto has a truth value as S3 sends it.
    arn = _arn(bucket, "" if str(of_bucket).lower() == "true" else key)
    yield from kms.use(ask, action, name, "aws:s3:arn", arn, "s3")


def _bucket_or_none(ask: Ask, name: str) -> Any:
    return s3_backends[ask.account][PARTITION].buckets.get(name)


def _exists(ask: Ask, bucket: str, key: str) -> bool:
    found = _bucket_or_none(ask, bucket)
    return found is None or key in found.keys
