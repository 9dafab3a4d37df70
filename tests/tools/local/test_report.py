"""What `make up` ends with."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from tools.local.code_server import Served
from tools.local.report import Report, print_report
from tools.local.standing import Standing

REPORT = Report(
    cluster="arn:aws:ecs:us-east-1:000000000000:cluster/run-isolation-local",
    table="run-isolation-local-slots",
    manifest="/run-isolation/local/manifest",
    endpoint="http://127.0.0.1:5000",
    environment=Path("/checkout/.local/env"),
    resources={"created": 40},
    locations=[
        Standing(
            location="sales",
            host="sales.local.run-isolation.internal",
            address="127.64.0.1:4000",
            task="arn:aws:ecs:us-east-1:000000000000:task/run-isolation-local/1",
            task_definition="run-isolation-local-sales-standing:1",
            cpu=256,
            memory=1024,
            log_group="/run-isolation/local/sales",
            serves=Served(
                assets=["raw/orders"], jobs=["nightly"], sensors=[], schedules=["hourly"]
            ),
        )
    ],
)


def test_names_everything_and_the_line_to_source() -> None:
    output = io.StringIO()
    print_report(REPORT, Console(file=output, width=120))
    shown = output.getvalue()
    standing = REPORT.locations[0]
    for part in (
        REPORT.cluster, REPORT.table, REPORT.manifest, REPORT.endpoint,
        standing.host, standing.address, standing.task, standing.task_definition,
        standing.log_group, "256 CPU units", "1024 MiB", "raw/orders", "nightly", "hourly",
        "\n  source /checkout/.local/env\n",
    ):  # fmt: skip
        assert part in shown


def test_json_reads_back() -> None:
    assert Report.model_validate_json(REPORT.model_dump_json()) == REPORT
