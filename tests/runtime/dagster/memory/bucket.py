"""A bucket in this process."""

from __future__ import annotations

import io
from typing import Any


class Bucket:
    """What is used of a client of S3 to keep outputs."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def upload_fileobj(self, file: Any, bucket: str, key: str) -> None:
        self.objects[f"{bucket}/{key}"] = file.read()

    def get_object(self, **asked: str) -> dict[str, Any]:
        return {"Body": io.BytesIO(self.objects[f"{asked['Bucket']}/{asked['Key']}"])}
