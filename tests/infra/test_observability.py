import pytest

from tests.infra.program import TAGS, changed, default, run


@pytest.mark.parametrize("location", ["sales", "research_lab"])
def test_log_group_of_each_location(location: str) -> None:
    assert default().inputs("cloudwatch/logGroup", location) == {
        "name": f"/run-isolation/prod/{location}",
        "retentionInDays": 30,
        "tags": {**TAGS, "run-isolation:code-location": location},
    }


def test_retention_is_configured() -> None:
    program = run(changed(logRetentionDays=365))
    assert program.inputs("cloudwatch/logGroup", "sales")["retentionInDays"] == 365


def test_revisions_are_deleted_with_the_location() -> None:
    hooks = default().one("cloudwatch/logGroup", "sales").request.hooks
    assert list(hooks.after_delete) == ["delete-revisions"]
