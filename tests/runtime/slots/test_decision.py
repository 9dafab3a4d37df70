import hypothesis.strategies as st
import pytest
from hypothesis import given

from run_isolation import (
    Decision,
    Denied,
    Disabled,
    Holder,
    Kind,
    LaunchedBy,
    NonIsolatedRuns,
    Request,
    Size,
    after_denial,
    after_error,
    decide,
)
from run_isolation.errors import TableUnreachableError
from run_isolation.slots.decision import after_history

STANDING = Size(cpu=256, memory=1024)
OFF = NonIsolatedRuns()
ON = NonIsolatedRuns(enabled=True)
ALL = NonIsolatedRuns(enabled=True, allow_automated=True)
ASKED = {"dagster/isolation": "disabled"}
HAND, OTHER = LaunchedBy.HAND, LaunchedBy.OTHER
AUTOMATED = [launcher for launcher in LaunchedBy if launcher is not HAND]


def request(
    tags: dict[str, str], launched_by: LaunchedBy = HAND, queue_limit: str | None = None
) -> Request:
    return Request(tags, launched_by, queue_limit)


ISOLATED = [
    # asked, settings, part of the reason
    (request({}), ALL, "default"),
    (request({"team": "a"}), ALL, "default"),
    (request({"dagster/isolation": "non-isolated"}), ALL, "'non-isolated'; only 'disabled'"),
    (request({"dagster/isolation": "Disabled"}), ALL, "'Disabled'; only 'disabled'"),
    (request({"dagster/isolation": "enabled"}), ALL, "'enabled'; only 'disabled'"),
    (request({"dagster/isolation": ""}), ALL, "''; only 'disabled'"),
    (request(ASKED), OFF, "disabled in this deployment"),
    (request(ASKED), NonIsolatedRuns(allow_automated=True), "disabled in this deployment"),
    *[(request(ASKED, by), ON, f"Launched by: {by.value}") for by in AUTOMATED],
    (request(ASKED, queue_limit="tag limit team=a"), ALL, "(tag limit team=a)"),
    (request(ASKED | {"ecs/cpu": "512"}), ALL, "ecs/cpu asks for 512; the standing container has"),
    (request(ASKED | {"ecs/memory": "1025"}), ALL, "ecs/memory asks for 1025; the standing"),
    (request(ASKED | {"ecs/cpu": "1 vCPU"}), ALL, "'1 vCPU', which is not a whole number"),
    (request(ASKED | {"ecs/cpu": "-1"}), ALL, "'-1', which is not a whole number"),
    (request(ASKED | {"ecs/cpu": "256", "ecs/memory": "4096"}), ALL, "ecs/memory asks for 4096"),
    (request(ASKED | {"ecs/ephemeral_storage": "21"}), ALL, "ecs/ephemeral_storage asks for"),
    (request(ASKED | {"ecs/task_overrides": "{}"}), ALL, "ecs/task_overrides asks for"),
    (request(ASKED | {"ecs/run_task_kwargs": "{}"}), ALL, "ecs/run_task_kwargs asks for"),
]


@pytest.mark.parametrize(("asked", "settings", "reason"), ISOLATED)
def test_isolated_and_says_why(asked: Request, settings: NonIsolatedRuns, reason: str) -> None:
    decision = decide(asked, settings, STANDING)

    assert decision.kind is Kind.ISOLATED
    assert reason in decision.reason


NON_ISOLATED = [
    (request(ASKED), ON),
    (request(ASKED), ALL),
    *[(request(ASKED, by), ALL) for by in AUTOMATED],
    (request(ASKED | {"ecs/cpu": "256", "ecs/memory": "1024"}), ON),
    # Left over from the run that a retry repeats.
    (request(ASKED | {"ecs/task_arn": "arn:task", "ecs/cluster": "c"}), ON),
]


@pytest.mark.parametrize(("asked", "settings"), NON_ISOLATED)
def test_non_isolated(asked: Request, settings: NonIsolatedRuns) -> None:
    assert decide(asked, settings, STANDING).kind is Kind.NON_ISOLATED


REQUESTS = st.builds(
    Request,
    tags=st.dictionaries(
        st.sampled_from(["dagster/isolation", "ecs/cpu", "ecs/memory", "ecs/secrets", "team"]),
        st.sampled_from(["disabled", "enabled", "256", "512", "1024", "2048", ""]),
    ),
    launched_by=st.sampled_from(LaunchedBy),
    queue_limit=st.none() | st.just("pool database"),
)


@given(
    asked=REQUESTS,
    settings=st.builds(NonIsolatedRuns, enabled=st.booleans(), allow_automated=st.booleans()),
)
def test_non_isolated_only_where_all_agree(asked: Request, settings: NonIsolatedRuns) -> None:
    decision = decide(asked, settings, STANDING)

    agreed = (
        asked.tags.get("dagster/isolation") == "disabled"
        and settings.enabled
        and (asked.launched_by is HAND or settings.allow_automated)
        and asked.queue_limit is None
        and asked.tags.get("ecs/cpu", "256") == "256"
        and asked.tags.get("ecs/memory", "256") in ("256", "512", "1024")
        and "ecs/secrets" not in asked.tags
    )
    assert (decision.kind is Kind.NON_ISOLATED) == agreed
    assert decision.reason.endswith(".")


def test_denied_names_holders_and_since_when() -> None:
    holders = tuple(
        Holder(f"run-{n}", 1, "sales", since=f"2026-01-01T00:00:0{n}+00:00") for n in range(5)
    )

    assert after_denial(Denied(holders[:1], limit=1)) == Decision(
        Kind.ISOLATED,
        "No slot was free: 1 of 1 held, by run run-0 of sales since 2026-01-01T00:00:00+00:00.",
    )
    assert after_denial(Denied(holders, limit=5)).reason.endswith(
        "run run-2 of sales since 2026-01-01T00:00:02+00:00 and 2 more."
    )


def test_a_denial_says_which_limit_it_was() -> None:
    holders = (Holder("run-0", 1, "sales", since="2026-01-01T00:00:00Z"),)
    assert after_denial(Denied(holders, 1, "sales")).reason == (
        "No slot of code location sales was free: 1 of 1 held, by run run-0 of sales since "
        "2026-01-01T00:00:00Z."
    )
    assert after_denial(Disabled("sales")).reason == (
        "Code location sales may have no non-isolated runs: its max_concurrent_non_isolated_runs "
        "is 0."
    )


def test_what_ran_out_of_memory_is_isolated_whoever_launches_it_again() -> None:
    for launcher in LaunchedBy:
        decision = decide(Request(ASKED, launcher, out_of_memory="run-0"), ALL, STANDING)
        assert decision.kind is Kind.ISOLATED
        assert decision.reason.startswith("Run run-0, which it executes again, was ended because")


def test_what_does_not_fit_is_isolated_and_says_the_numbers() -> None:
    assert after_history(900, 686, STANDING) == Decision(
        Kind.ISOLATED,
        "This job's recent runs needed up to 900 MiB; in the standing container, which has 1024 "
        "MiB, a run can have 686.",
    )
    for peak in (None, 500):
        reason = after_history(peak, 686, STANDING).reason
        assert reason.startswith("One of this job's recent runs was ended for want of memory;")


def test_disabled_meanwhile() -> None:
    assert after_denial(Disabled()) == decide(request(ASKED), OFF, STANDING)


def test_unreachable_table_is_isolated_and_not_called_a_denial() -> None:
    error = TableUnreachableError("dynamodb:UpdateItem", "slots", "timed out.")

    decision = after_error(error)

    assert decision.kind is Kind.ISOLATED
    assert "not known" in decision.reason
    assert "dynamodb:UpdateItem" in decision.reason
    assert "No slot was free" not in decision.reason
