"""Denials in AWS's words, and as the answer of each service.

https://docs.aws.amazon.com/IAM/latest/UserGuide/troubleshoot_access-denied.html
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from localaws.faults import Error
from localaws.iam.evaluate import Decision
from localaws.iam.needs.ask import Need
from localaws.iam.principals import Principal


@dataclass(eq=False)
class DeniedError(Exception):
    """A permission that the caller does not have; `str()` is AWS's message."""

    who: Principal
    need: Need
    decision: Decision

    def __str__(self) -> str:
        return (
            f"User: {self.who.arn} is not authorized to perform: {self.need.action}"
            f" on resource: {self.need.resource} {self.reason}"
        )

    @property
    def reason(self) -> str:
        """Which kind of policy denies it, or lacks."""
        kind = self.decision.kind
        if self.decision.explicit:
            article = "an" if kind.startswith("i") else "a"
            return f"with an explicit deny in {article} {kind}"
        return f"because no {kind} allows the {self.need.action} action"


@dataclass(eq=False)
class UnknownOperationError(Exception):
    """A call that the table of needs does not know, so nobody but root may make it."""

    who: Principal
    service: str
    operation: str

    def __str__(self) -> str:
        return (
            f"User: {self.who.arn} is not authorized to perform: {self.service}:{self.operation} "
            "because localaws has no row for it in its table of operations (localaws/iam/needs)"
        )


#: Services that answer by XML with 403; all others with JSON and 400.
_CODES: Final = {
    "ec2": ("UnauthorizedOperation", 403),
    "iam": ("AccessDenied", 403),
    "s3": ("AccessDenied", 403),
    "sts": ("AccessDenied", 403),
}


def answer(service: str, denial: DeniedError | UnknownOperationError) -> Error:
    """Return a denial as the service's error."""
    code, status = _CODES.get(service, ("AccessDeniedException", 400))
    message = str(denial)
    if service == "s3" and isinstance(denial, DeniedError):
        # S3 puts the resource into quotes:
        # https://docs.aws.amazon.com/AmazonS3/latest/userguide/troubleshoot-403-errors.html
        resource = denial.need.resource
        message = message.replace(f"resource: {resource}", f'resource: "{resource}"')
    if service == "ec2":
        message = f"You are not authorized to perform this operation. {message}"
    return Error(code=code, message=message, status=status)


#: https://docs.aws.amazon.com/IAM/latest/APIReference/CommonErrors.html
_UNSIGNED: Final = ("MissingAuthenticationToken", "Request is missing Authentication Token", 403)
_INVALID: Final = "The security token included in the request is invalid."
_XML: Final = ("InvalidClientTokenId", _INVALID, 403)
_JSON: Final = ("UnrecognizedClientException", _INVALID, 400)
_S3: Final = ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist", 403)


def unidentified(service: str, *, signed: bool) -> Error:
    """Return the error of a call that nobody has signed, or with keys that are not valid."""
    known = {"s3": _S3, **dict.fromkeys(("ec2", "iam", "sts"), _XML)}
    code, message, status = known.get(service, _JSON) if signed else _UNSIGNED
    return Error(code=code, message=message, status=status)
