import json

import pytest

from tests.infra.program import DATABASE, TAGS, changed, default, run

BUCKET = "run-isolation-prod-compute-logs-123456789012"
OUTPUTS = "run-isolation-prod-outputs-123456789012"


@pytest.mark.parametrize("protect", [True, False])
def test_bucket(protect: bool) -> None:
    bucket = run(changed(protect=protect)).one("s3/bucket", "compute-logs")
    assert bucket.inputs == {"bucket": BUCKET, "forceDestroy": not protect, "tags": TAGS}
    assert bucket.request.protect is protect


def test_bucket_is_private_encrypted_and_forgets() -> None:
    program = default()
    assert program.inputs("s3/bucketPublicAccessBlock", "compute-logs") == {
        "bucket": "compute-logs-id",
        "blockPublicAcls": True,
        "blockPublicPolicy": True,
        "ignorePublicAcls": True,
        "restrictPublicBuckets": True,
    }
    assert program.inputs("s3/bucketServerSideEncryptionConfiguration", "compute-logs") == {
        "bucket": "compute-logs-id",
        "rules": [{"applyServerSideEncryptionByDefault": {"sseAlgorithm": "AES256"}}],
    }
    assert program.inputs("s3/bucketLifecycleConfiguration", "compute-logs") == {
        "bucket": "compute-logs-id",
        "rules": [
            {
                "id": "expire",
                "status": "Enabled",
                "filter": {"prefix": ""},
                "expiration": {"days": 30},
                "abortIncompleteMultipartUpload": {"daysAfterInitiation": 1},
            }
        ],
    }


def test_bucket_refuses_plain_http() -> None:
    policy = default().inputs("s3/bucketPolicy", "compute-logs")
    assert policy["bucket"] == "compute-logs-id"
    assert json.loads(policy["policy"])["Statement"] == [
        {
            "Sid": "OnlyTls",
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:*",
            "Resource": [f"arn:aws:s3:::{BUCKET}", f"arn:aws:s3:::{BUCKET}/*"],
            "Condition": {"Bool": {"aws:SecureTransport": "false"}},
        }
    ]


def test_outputs_are_kept_as_well_and_do_not_expire() -> None:
    program = default()
    assert program.inputs("s3/bucket", "outputs")["bucket"] == OUTPUTS
    for kind in ("bucketPublicAccessBlock", "bucketServerSideEncryptionConfiguration"):
        of_logs = program.inputs(f"s3/{kind}", "compute-logs")
        assert program.inputs(f"s3/{kind}", "outputs") == {**of_logs, "bucket": "outputs-id"}
    [rule] = program.inputs("s3/bucketLifecycleConfiguration", "outputs")["rules"]
    assert "expiration" not in rule
    assert rule["abortIncompleteMultipartUpload"] == {"daysAfterInitiation": 1}
    policy = json.loads(program.inputs("s3/bucketPolicy", "outputs")["policy"])
    assert policy["Statement"][0]["Resource"] == [
        f"arn:aws:s3:::{OUTPUTS}",
        f"arn:aws:s3:::{OUTPUTS}/*",
    ]
    assert program.one("s3/bucket", "outputs").request.protect is True


@pytest.mark.parametrize("bucket", [None, "my-bucket"])
def test_no_bucket_is_made_where_there_is_one_or_none(bucket: str | None) -> None:
    named = {"computeLogsBucket": bucket, "io": bucket} if bucket else {}
    program = run(changed(instance={"databaseUrlSecretArn": DATABASE, **named}))
    assert not [one for one in program.resources if ":s3/" in one.type]
    assert program.outputs.get("computeLogsBucket") == bucket
    assert program.outputs.get("outputsBucket") == bucket
