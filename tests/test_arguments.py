"""What pytest is given on the command line, in whatever order."""

import subprocess
import sys


def test_files_of_a_directory_named_apart_have_its_fixtures() -> None:
    """Else a test of the second one would be without what keeps it from a real account."""
    files = ["tests/runtime/test_fargate.py", "tests/test_costs.py", "tests/runtime/test_aws.py"]
    argv = [sys.executable, "-m", "pytest", "--setup-plan", "-k", "endpoint", *files]
    plan = subprocess.run(argv, capture_output=True, text=True).stdout
    assert "test_endpoint_of_the_environment (fixtures used: environment, monkeypatch)" in plan
