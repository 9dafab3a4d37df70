"""The default I/O manager of runs whose outputs outlive their container: pickles on S3.

It requires no resource, so it can stand where Dagster's own default stands. Keys and metadata are
those of dagster-aws's ``S3PickleIOManager`` with this bucket and prefix, so that a code location
can go over to it, and back, and finds what is there
(https://docs.dagster.io/api/libraries/dagster-aws#dagster_aws.s3.S3PickleIOManager).
"""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from shutil import copyfileobj
from tempfile import SpooledTemporaryFile
from typing import IO, TYPE_CHECKING, Any, Final

import dagster
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    IncompleteReadError,
    ReadTimeoutError,
    ResponseStreamingError,
)
from dagster import InputContext, MetadataValue, OutputContext, UPathIOManager
from tenacity import retry, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from run_isolation import aws
from run_isolation.dagster.output_words import again, named
from run_isolation.errors import OutputMissingError, OutputsError
from run_isolation.outputs import Place

if TYPE_CHECKING:
    from types_boto3_s3 import S3Client
    from upath import UPath

IN_MEMORY_BYTES: Final = 8 * 2**20
"""How much of a pickle is kept in memory on its way: larger ones take the task's disk, beside the
object itself. It is also from where the SDK sends parts
(https://boto3.amazonaws.com/v1/documentation/api/latest/guide/s3.html)."""

_CHUNK_BYTES: Final = 2**20

_PROTOCOL: Final = 5
"""Of pickles: every Python that a code location may have reads it, whichever has written it."""

_BROKEN: Final = (IncompleteReadError, ReadTimeoutError, ResponseStreamingError)
"""An answer that ends too early. The SDK does not repeat it: the call had succeeded."""

_UNPICKLABLE: Final = (AttributeError, ImportError, RecursionError, TypeError, pickle.PicklingError)
"""What ``pickle`` raises about an object."""

_MISSING: Final = frozenset({"NoSuchKey", "404"})
"""GetObject's word and HeadObject's."""


@dataclass
class _Client:
    """The client of this process, which may have been made before it was forked.

    Making one takes a tenth of a CPU second. One that has been used is not another process's, too:
    two must not talk over one connection.
    """

    made: S3Client | None = None
    user: int | None = None
    """Process id of who has used it."""

    def prepare(self) -> None:
        """Makes it. Where the SDK can't, say for want of credentials, whoever uses it says so."""
        with suppress(BotoCoreError):
            self.made = aws.s3()

    def get(self) -> S3Client:
        """It, to be used."""
        if self.made is None or self.user not in (None, os.getpid()):
            self.made = aws.s3()
        self.user = os.getpid()
        return self.made


_client: Final = _Client()


def prepare() -> None:
    """In a process that is to be forked: makes the client that runs and steps use."""
    _client.prepare()


class S3Outputs(UPathIOManager):
    """Keeps outputs on S3.

    Assets are at ``<prefix>/<key>/<partition>``, outputs of ops at
    ``<prefix>/storage/<run>/<step>/<output>``. A re-execution finds those of the runs before it.
    """

    def __init__(self, place: Place) -> None:
        from upath import UPath  # not before the I/O manager is used: it takes long to import

        # A relative path, only for its arithmetic: nothing here touches a disk.
        super().__init__(base_path=UPath(place.prefix))
        self._place = place

    def dump_to_path(self, context: OutputContext, obj: Any, path: UPath) -> None:
        """Keeps an object.

        Raises:
            OutputsError: It can't be pickled, or S3 does not take it.
        """
        with _spooled() as file:
            try:
                pickle.dump(obj, file, _PROTOCOL)
            except _UNPICKLABLE as error:
                raise OutputsError(
                    named(context),
                    problem=f"it can't be pickled ({error}).",
                    mend="Return something that can be, or give it an I/O manager of its own.",
                ) from error
            file.seek(0)
            with self._answering("s3:PutObject", context, path):
                _client.get().upload_fileobj(file, self._place.bucket, path.as_posix())

    def load_from_path(self, context: InputContext, path: UPath) -> Any:
        """Reads an object.

        Raises:
            OutputMissingError: It is not there.
            OutputsError: S3 does not give it.
        """
        with _spooled() as file:
            with self._answering("s3:GetObject", context, path):
                self._read(path.as_posix(), file)
            file.seek(0)
            # Who may write to the bucket may execute code in tasks, as the docs say.
            return pickle.load(file)  # noqa: S301

    @retry(
        retry=retry_if_exception_type(_BROKEN),
        stop=stop_after_attempt(5),
        wait=wait_random_exponential(max=5),
        reraise=True,
    )
    def _read(self, key: str, file: IO[bytes]) -> None:
        file.seek(0)
        file.truncate()
        found = _client.get().get_object(Bucket=self._place.bucket, Key=key)
        copyfileobj(found["Body"], file, _CHUNK_BYTES)

    def path_exists(self, path: UPath) -> bool:
        """Whether something is kept there."""
        try:
            _client.get().head_object(Bucket=self._place.bucket, Key=path.as_posix())
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return False
            raise
        return True

    def make_directory(self, path: UPath) -> None:
        """S3 has none."""

    def _handle_transition_to_partitioned_asset(self, context: OutputContext, path: UPath) -> None:
        """On S3 an object may have the name that others begin with; Dagster would look on disk."""

    def get_path_for_partition(
        self, context: InputContext | OutputContext, path: UPath, partition: str
    ) -> UPath:
        """As Dagster 1.13 has it, in all versions: no partition leaves its asset."""
        return path / (f"%2F{partition[1:]}" if partition.startswith("/") else partition)

    def get_op_output_relative_path(self, context: InputContext | OutputContext) -> UPath:
        """As dagster-aws has it: apart from assets, and without brackets of mapped steps."""
        from upath import UPath

        parts = super().get_op_output_relative_path(context).parts
        return UPath("storage", *(part.replace("[", "--").replace("]", "") for part in parts))

    def get_metadata(self, context: OutputContext, obj: Any) -> dict[str, MetadataValue]:
        """Where it is."""
        if context.has_asset_partitions:
            [path] = self._get_paths_for_partitions(context).values()
        else:
            path = self._get_path(context)
        return {"uri": MetadataValue.path(self._uri(path))}

    def get_loading_input_log_message(self, path: UPath) -> str:
        """For the run's log."""
        return f"Loading S3 object from: {self._uri(path)}"

    def get_writing_output_log_message(self, path: UPath) -> str:
        """For the run's log."""
        return f"Writing S3 object at: {self._uri(path)}"

    def _uri(self, path: UPath) -> str:
        return f"s3://{self._place.bucket}/{path.as_posix()}"

    @contextmanager
    def _answering(
        self, action: str, context: InputContext | OutputContext, path: UPath
    ) -> Iterator[None]:
        """Turns the SDK's errors into ours."""
        what = f"{named(context)}, at {self._uri(path)}"
        try:
            yield
        except ClientError as error:
            code = error.response["Error"]["Code"]
            if code in _MISSING:
                raise OutputMissingError(
                    what,
                    problem="no run has kept it there.",
                    mend=again(context),
                ) from error
            raise OutputsError(what, problem=_sentence(error), mend=_mend(action, error)) from error
        except BotoCoreError as error:
            mend = "Check the route from this task to S3 (gateway endpoint, NAT, security group)."
            raise OutputsError(what, problem=_sentence(error), mend=mend) from error


@dagster.io_manager(description="Keeps values on S3, pickled, where `instance.io` says.")
def io_manager(_: dagster.InitResourceContext) -> S3Outputs:
    """What ``DAGSTER_DEFAULT_IO_MANAGER_ATTRIBUTE`` names."""
    return S3Outputs(Place.from_environment())


def _spooled() -> SpooledTemporaryFile[bytes]:
    return SpooledTemporaryFile(IN_MEMORY_BYTES)


def _mend(action: str, error: ClientError) -> str:
    code = error.response["Error"]["Code"]
    if code == "NoSuchBucket":
        return "Run `pulumi up`, or name a bucket that is there in `instance.io`."
    if code == "AccessDenied":
        denied = aws.denied_permission(error)
        what = f"{denied[0]} on {denied[1]}" if denied else action
        return (
            f"Allow {what} for this task's role, as `instance.io` in the stack config does "
            "for the bucket that it names."
        )
    return ""


def _sentence(error: Exception) -> str:
    return f"{str(error).rstrip('.')}."
