"""What data engineers import. It starts threads, and means no harm."""

import os
import tempfile
from pathlib import Path

import boto3
import dagster as dg
import numpy as np
import pandas as pd  # type: ignore[import-untyped]
import polars as pl
import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute as pc  # type: ignore[import-untyped]
import pyarrow.parquet as pq  # type: ignore[import-untyped]

CLIENT = boto3.client("s3", region_name="us-east-1")
COUNT = 100_000


@dg.op
def uses_them() -> None:
    matrix = np.random.default_rng(1).random((200, 200))
    assert np.allclose(matrix @ np.linalg.inv(matrix), np.eye(200))
    keys = pl.LazyFrame({"key": range(COUNT)}).with_columns(pl.col("key") % 7)
    assert keys.group_by("key").agg(pl.len()).collect()["len"].sum() == COUNT
    table = pa.table({"key": list(range(COUNT))})
    assert pc.sum(table["key"]).as_py() == COUNT * (COUNT - 1) // 2
    with tempfile.NamedTemporaryFile() as file:
        pq.write_table(table, file.name)
        assert len(pd.read_parquet(file.name).groupby("key").size()) == COUNT


@dg.op
def is_forked() -> None:
    assert Path(f"/proc/{os.getppid()}/comm").read_text() == "run-keeper\n"


@dg.job(executor_def=dg.in_process_executor)
def ordinary() -> None:
    uses_them()
    is_forked()
