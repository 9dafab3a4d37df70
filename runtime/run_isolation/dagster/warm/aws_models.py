"""The AWS SDK's description of S3, parsed once for all runs and steps.

Runs in: template, which parses; run and step, which use what it has parsed.

Where compute logs go to a bucket each step makes a client of S3. Parsing what it is made of is half
of that: a tenth of a CPU second and 11 MiB, in each process.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError
from botocore.loaders import JSONFileLoader

from run_isolation.dagster.patching import replaced

_parsed: Final[dict[str, Any]] = {}


def parse() -> None:
    """Parses it into this process, which is to be forked.

    Where the SDK can't do so, say for want of a profile that it is told to use, runs do, or fail.
    """
    original = JSONFileLoader.load_file

    def load_file(self: JSONFileLoader, file_path: str) -> Any:
        content = original(self, file_path)
        if content is not None:
            _parsed[file_path] = content
        return content

    with suppress(BotoCoreError), replaced(JSONFileLoader, "load_file", load_file):
        # A session of its own, as the default one reads files and variables that a run may change.
        # With credentials it asks nobody for some.
        session = boto3.Session("none", "none", region_name="us-east-1")
        session.resource("s3")


@contextmanager
def installed() -> Iterator[None]:
    """Lets clients that are made meanwhile, here and in forks, use what is parsed.

    Raises:
        SeamError: This version of the SDK is not built as we know it.
    """
    original = JSONFileLoader.load_file

    def load_file(self: JSONFileLoader, file_path: str) -> Any:
        return _parsed.get(file_path) or original(self, file_path)

    with replaced(JSONFileLoader, "load_file", load_file):
        yield
