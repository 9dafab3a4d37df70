"""What a customer's key of a bucket needs, beside the rights to its objects."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localaws.account import ACCOUNT_ID, LocalAccount
from tests.localaws.iam.test_guard import Actor, allow, refused
from tests.localaws.roles import make_role

KEY = f"arn:aws:kms:us-east-1:{ACCOUNT_ID}:key/{uuid.uuid4()}"
OTHER = f"arn:aws:kms:us-east-1:{ACCOUNT_ID}:key/{uuid.uuid4()}"
OBJECTS = allow(["s3:GetObject", "s3:PutObject"])


@pytest.fixture
def actor(local_account: LocalAccount) -> Iterator[Actor]:
    name = f"r-{uuid.uuid4().hex[:8]}"
    session = local_account.identities.open(make_role(local_account.client("iam"), name), "someone")
    yield Actor(local_account, name, session.principal.role, session)
    local_account.identities.close(session)


@pytest.fixture
def bucket(local_account: LocalAccount, actor: Actor) -> Callable[..., str]:
    """Makes a bucket of a customer's key."""

    def make(**rule: Any) -> str:
        s3 = local_account.client("s3")
        s3.create_bucket(Bucket=actor.name)
        default = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY}
        rules = [{"ApplyServerSideEncryptionByDefault": default, **rule}]
        s3.put_bucket_encryption(
            Bucket=actor.name, ServerSideEncryptionConfiguration={"Rules": rules}
        )
        return actor.name

    return make


def denied(call: Callable[[], Any]) -> str:
    """The action that S3 says is missing."""
    code, message, status = refused(call)
    assert (code, status) == ("AccessDenied", 403)
    return message.partition("is not authorized to perform: ")[2].partition(" ")[0]


def test_writing_needs_a_data_key_and_reading_to_decrypt_it(
    actor: Actor, bucket: Callable[..., str]
) -> None:
    s3, name = actor.client("s3"), bucket()
    actor.may(OBJECTS)
    put = {"Bucket": name, "Key": "k", "Body": b"body"}
    assert denied(lambda: s3.put_object(**put)) == "kms:GenerateDataKey"
    actor.may(OBJECTS, allow("kms:GenerateDataKey", KEY))
    s3.put_object(**put)
    assert denied(lambda: s3.get_object(Bucket=name, Key="k")) == "kms:Decrypt"
    assert s3.head_object(Bucket=name, Key="k")["ContentLength"] == 4
    assert denied(lambda: s3.put_object(**put, ServerSideEncryption="aws:kms", SSEKMSKeyId=OTHER))
    s3.put_object(**{**put, "Key": "plain"}, ServerSideEncryption="AES256")
    actor.may(OBJECTS, allow("kms:Decrypt", KEY))
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"body"


def test_parts_of_an_upload_need_to_decrypt_the_data_key(
    actor: Actor, bucket: Callable[..., str]
) -> None:
    s3, what = actor.client("s3"), {"Bucket": bucket(), "Key": "k"}
    actor.may(OBJECTS, allow("kms:GenerateDataKey", KEY))
    upload = s3.create_multipart_upload(**what)["UploadId"]
    part = {**what, "UploadId": upload, "PartNumber": 1, "Body": b"body"}
    assert denied(lambda: s3.upload_part(**part)) == "kms:Decrypt"
    actor.may(OBJECTS, allow("kms:Decrypt", KEY))
    s3.upload_part(**part)


@pytest.mark.parametrize("of_bucket", [False, True])
def test_the_key_s_context_is_the_object_or_with_a_bucket_key_the_bucket(
    actor: Actor, bucket: Callable[..., str], of_bucket: bool
) -> None:
    s3, name = actor.client("s3"), bucket(BucketKeyEnabled=of_bucket)
    arn = f"arn:aws:s3:::{name}" + ("" if of_bucket else "/k")
    condition = {"StringEquals": {"kms:EncryptionContext:aws:s3:arn": arn}}
    use = ["kms:GenerateDataKey", "kms:Decrypt"]
    actor.may(OBJECTS, allow(use, KEY, Condition=condition))
    s3.put_object(Bucket=name, Key="k", Body=b"body")
    assert s3.get_object(Bucket=name, Key="k")["Body"].read() == b"body"
    if not of_bucket:
        assert denied(lambda: s3.put_object(Bucket=name, Key="l")) == "kms:GenerateDataKey"
