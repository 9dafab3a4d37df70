"""The provider's way to the account."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError, ParamValidationError

from localaws.account import LocalAccount
from localaws.provider.aws import Account, Aws, says_gone


@pytest.fixture
def aws(local_account: LocalAccount) -> Aws:
    account = Account(local_account.endpoint_url, local_account.environment())
    return Aws(account, "eu-central-1", timeout=0.3)


def test_botocore_checks_every_request(aws: Aws) -> None:
    # So whatever shape the handlers send, AWS knows it.
    with pytest.raises(ParamValidationError, match="retentionInDays"):
        aws.client("logs").put_retention_policy(logGroupName="x", retentionInDays="soon")


def test_says_where_it_is(aws: Aws) -> None:
    assert aws.arn("ec2", "vpc/x") == "arn:aws:ec2:eu-central-1:000000000000:vpc/x"


def test_waits_until_the_answer_is_good(aws: Aws) -> None:
    answers = iter("abc")
    assert aws.wait("c comes", lambda: next(answers), lambda answer: answer == "c") == "c"


def test_gives_up_with_the_last_answer(aws: Aws) -> None:
    with pytest.raises(TimeoutError, match=r"The end comes: not so after 0.3 s. Last seen: never"):
        aws.wait("The end comes", lambda: "never", lambda answer: answer == "now")


@pytest.mark.parametrize(
    ("code", "gone"),
    [
        ("InvalidVpcID.NotFound", True),
        ("ResourceNotFoundException", True),
        ("NoSuchEntity", True),
        ("404", True),
        ("AccessDeniedException", False),
        ("ThrottlingException", False),
    ],
)
def test_tells_gone_from_other_errors(code: str, gone: bool) -> None:
    assert says_gone(ClientError({"Error": {"Code": code, "Message": ""}}, "X")) is gone
