"""The one way to the account: boto3 clients on the endpoint, waiting, errors that say "gone"."""

import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import boto3
from botocore.exceptions import ClientError
from tenacity import Retrying, retry_if_result, stop_after_delay, wait_fixed

T = TypeVar("T")

_POLL_SECONDS = 0.1
"""The account is on this machine, so asking often is cheap."""


class Account:
    """Clients for one AWS account on one endpoint, cached per service and region.

    Args:
        endpoint_url: Where the account answers, such as `http://127.0.0.1:5000`.
        environment: Holds the account's keys: `LocalAccount.environment()`.
    """

    def __init__(self, endpoint_url: str, environment: Mapping[str, str]) -> None:
        self._endpoint_url = endpoint_url
        self._session = boto3.session.Session(
            aws_access_key_id=environment["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=environment["AWS_SECRET_ACCESS_KEY"],
            aws_session_token=environment["AWS_SESSION_TOKEN"],
        )
        self._clients: dict[tuple[str, str], Any] = {}
        # Making a client is not thread safe, using one is:
        # https://boto3.amazonaws.com/v1/documentation/api/latest/guide/clients.html
        self._lock = threading.Lock()

    def client(self, service: str, region: str) -> Any:
        """A boto3 client of the service in the region."""
        with self._lock:
            if (service, region) not in self._clients:
                self._clients[service, region] = self._session.client(
                    service,  # type: ignore[call-overload]
                    region_name=region,
                    endpoint_url=self._endpoint_url,
                )
            return self._clients[service, region]


class Aws:
    """The account as one call sees it: in one region, with one deadline.

    Args:
        account: The account's clients.
        region: The region of the resource.
        timeout: Seconds that the call may wait for a resource to become ready or gone.
    """

    def __init__(self, account: Account, region: str, timeout: float) -> None:
        self._account = account
        self.region = region
        self.timeout = timeout

    def client(self, service: str) -> Any:
        """A boto3 client of the service in this call's region."""
        return self._account.client(service, self.region)

    @property
    def account_id(self) -> str:
        """The account's number, 12 digits."""
        return str(self.client("sts").get_caller_identity()["Account"])

    def arn(self, service: str, resource: str) -> str:
        """The ARN of something in this account and region."""
        return f"arn:{self.partition}:{service}:{self.region}:{self.account_id}:{resource}"

    @property
    def partition(self) -> str:
        """The partition of this region, such as `aws`."""
        return str(self.client("ec2").meta.partition)

    def wait(self, what: str, poll: Callable[[], T], until: Callable[[T], bool]) -> T:
        """Poll until the answer is good.

        Raises:
            TimeoutError: The deadline passed; the text holds the last answer.
        """

        def give_up(state: Any) -> T:
            raise TimeoutError(
                f"{what}: not so after {self.timeout:g} s. Last seen: {state.outcome.result()}. "
                "Set the resource option custom_timeouts to wait longer."
            )

        retrying = Retrying(
            retry=retry_if_result(lambda answer: not until(answer)),
            stop=stop_after_delay(self.timeout),
            wait=wait_fixed(_POLL_SECONDS),
            retry_error_callback=give_up,
        )
        return retrying(poll)


def says_gone(error: ClientError) -> bool:
    """Whether AWS says that the thing asked for does not exist."""
    code = error.response["Error"]["Code"]
    return code in _GONE or code.endswith((".NotFound", "NotFoundException"))


# Error codes for "does not exist" that don't say "NotFound" at their end.
_GONE = frozenset(
    {
        "404",
        "NatGatewayNotFound",
        "NamespaceNotFound",
        "NoSuchBucket",
        "NoSuchBucketPolicy",
        "NoSuchEntity",
        "NoSuchLifecycleConfiguration",
        "NoSuchPublicAccessBlockConfiguration",
        "ParameterNotFound",
        "ServerSideEncryptionConfigurationNotFoundError",
        "ServiceNotFound",
    }
)
