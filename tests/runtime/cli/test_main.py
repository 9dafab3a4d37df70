import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from run_isolation.cli import main


def test_help_lists_every_subcommand_with_a_sentence() -> None:
    answer = CliRunner().invoke(main, ["--help"])

    assert answer.exit_code == 0
    _, _, commands = answer.output.partition("Commands:\n")
    described = dict(line.split(maxsplit=1) for line in commands.splitlines())
    assert described["code-server"].startswith("Serve a code location")
    assert set(described) >= {"code-server", "run"}


def test_version() -> None:
    answer = CliRunner().invoke(main, ["--version"])

    assert answer.output.startswith("run-isolation, version 0.")


@pytest.mark.parametrize("name", ["no-such", "code_server", "--no-such"])
def test_unknown_subcommand(name: str) -> None:
    answer = CliRunner().invoke(main, [name])

    assert answer.exit_code == 2
    assert "No such" in answer.output


def test_help_imports_no_dagster() -> None:
    program = (
        "import json, sys\n"
        "from run_isolation.cli import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    imported = {name.split(".")[0] for name in json.loads(answer.stdout.splitlines()[-1])}

    assert "code-server" in answer.stdout
    assert not imported & {"dagster", "dagster_webserver", "pulumi", "boto3", "grpc"}
