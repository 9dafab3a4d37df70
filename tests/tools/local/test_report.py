"""What `make up` ends with."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

from rich.console import Console

from tools.local.code_server import Served
from tools.local.report import Report, print_report
from tools.local.results import Launched, Placed
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
                assets=["raw/orders"],
                jobs=["nightly"],
                sensors=[],
                schedules=["hourly"],
                repositories={"__repository__": ["nightly"]},
            ),
        )
    ],
    page="http://127.0.0.1:3000",
    runs=[
        Placed(
            run=Launched(
                run_id="9f3c",
                location="sales",
                job="nightly",
                why="asks for nothing",
                kind="isolated",
                reason="Isolated is the default.",
                task="arn:aws:ecs:us-east-1:000000000000:task/run-isolation-local/2",
                status="SUCCESS",
                seconds_to_start=6.91,
            ),
            task_definition="run-isolation-local-sales-isolated:7",
            cpu=4096,
            memory=16384,
            faults=[],
        )
    ],
)


def shown(report: Report) -> str:
    output = io.StringIO()
    print_report(report, Console(file=output, width=120))
    return output.getvalue()


def test_says_of_each_run_what_it_became_why_where_and_how_fast() -> None:
    page = shown(REPORT)
    for part in (
        "sales: nightly", "asks for nothing", "isolated", "Isolated is the default.",
        "sales-isolated:7", "4096 CPU units", "16384 MiB", "6.9 s", "SUCCESS", "9f3c",
        "task/run-isolation-local/2", "http://127.0.0.1:3000",
    ):  # fmt: skip
        assert part in page
    assert REPORT.good


def test_a_run_in_the_wrong_place_is_not_good_and_says_so() -> None:
    [placed] = REPORT.runs
    wrong = placed.model_copy(update={"faults": ["started 2 tasks"]})
    report = REPORT.model_copy(update={"runs": [wrong]})
    assert not report.good
    assert "started 2 tasks" in shown(report)


def test_names_everything_and_the_line_to_source() -> None:
    page = shown(REPORT)
    standing = REPORT.locations[0]
    for part in (
        REPORT.cluster, REPORT.table, REPORT.manifest, REPORT.endpoint,
        standing.host, standing.address, standing.task, standing.task_definition,
        standing.log_group, "256 CPU units", "1024 MiB", "raw/orders", "nightly", "hourly",
        "\n  source /checkout/.local/env\n",
    ):  # fmt: skip
        assert part in page


def test_the_line_to_source_works_in_a_path_with_spaces(tmp_path: Path) -> None:
    environment = tmp_path / "it's my [checkout]" / "env"
    environment.parent.mkdir()
    environment.write_text("echo sourced\n")
    page = shown(REPORT.model_copy(update={"environment": environment}))
    [line] = [line for line in page.splitlines() if line.startswith("  source ")]
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, check=False)
    assert done.stdout == "sourced\n", done.stderr


def test_json_reads_back() -> None:
    assert Report.model_validate_json(REPORT.model_dump_json()) == REPORT
