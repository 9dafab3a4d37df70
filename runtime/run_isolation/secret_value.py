"""Reads a secret by the ARN that a task definition takes, where ECS has not done so."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final, Self

from botocore.exceptions import BotoCoreError, ClientError

from run_isolation import aws
from run_isolation.errors import SecretError

PENDING: Final = "AWSPENDING"
"""Label of the version that a rotation is about to make the current one. The database has this
password a moment before:
https://docs.aws.amazon.com/secretsmanager/latest/userguide/rotate-secrets_lambda-functions.html"""

_NONE: Final = "ResourceNotFoundException"


@dataclass(frozen=True)
class Secret:
    """A secret, or a part of one.

    https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Secret.html

    Attributes:
        arn: As in the task definition.
        region: Where it is.
        id: ARN of all of it.
        key: Of its JSON, whose value alone is meant; empty: all of it.
        stage: Label of the version that is meant; empty: the current one.
        version: The version that is meant; empty: the one with that label.
    """

    arn: str
    region: str
    id: str
    key: str = ""
    stage: str = ""
    version: str = ""

    @classmethod
    def of(cls, arn: str) -> Self:
        """What an ARN says.

        Args:
            arn: ``arn:…:secret:<name>-<6 characters>[:<JSON key>:<stage>:<version>]``, or that of
                an SSM parameter.
        """
        _, _, _, region, _, *resource = arn.split(":")
        part = resource[2:]
        whole = arn.removesuffix("".join(f":{one}" for one in part))
        return cls(arn, region, whole, *part)

    def value(self) -> str:
        """Reads it: one call, of GetSecretValue or GetParameters, which ECS makes, too.

        Raises:
            SecretError: It can't be read.
        """
        return self._read(self.stage)

    def pending(self) -> str | None:
        """What a rotation that is going on has set the password to, or is about to; one call.

        Raises:
            SecretError: It can't be read.
        """
        if ":ssm:" in self.arn or self.stage or self.version:
            return None
        try:
            return self._read(PENDING)
        except SecretError as error:
            cause = error.__cause__
            if isinstance(cause, ClientError) and cause.response["Error"]["Code"] == _NONE:
                return None
            raise

    def _read(self, stage: str) -> str:
        try:
            text = self._text(stage)
        except ClientError as error:
            denied = aws.denied_permission(error)
            raise SecretError(
                self.arn,
                problem=f"AWS answers: {error.response['Error']['Message']}",
                mend=f"Allow {denied[0]} to this role." if denied else "Check the ARN.",
            ) from error
        except BotoCoreError as error:
            raise SecretError(
                self.arn,
                problem=f"no answer: {error}.",
                mend="Check credentials, and the way to AWS (VPC endpoint, NAT, security group).",
            ) from error
        return self._part(text)

    def _text(self, stage: str) -> str:
        if ":ssm:" in self.arn:
            # What the policies allow, as ECS asks so.
            found = aws.ssm(self.region).get_parameters(Names=[self.id], WithDecryption=True)
            if not found["Parameters"]:
                raise SecretError(self.arn, "there is no such parameter.", "Check the ARN.")
            return found["Parameters"][0]["Value"]
        which = {"VersionStage": stage, "VersionId": self.version}
        answer = aws.secrets_manager(self.region).get_secret_value(
            SecretId=self.id, **{name: value for name, value in which.items() if value}
        )
        if "SecretString" not in answer:
            raise SecretError(self.arn, "it is binary.", "Store it as text.")
        return answer["SecretString"]

    def _part(self, text: str) -> str:
        if not self.key:
            return text
        try:
            return str(json.loads(text)[self.key])
        except (ValueError, KeyError, TypeError):
            raise SecretError(
                self.arn, f"it is no JSON with a key {self.key}.", "Mend the secret or the ARN."
            ) from None
