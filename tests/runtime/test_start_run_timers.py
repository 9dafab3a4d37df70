"""Who waits for somebody else in a start waits until that one has given up."""

from run_isolation import start_run_timers as timers


def test_each_waits_longer_than_whom_it_waits_for() -> None:
    in_order = [
        timers.ENDING_PAUSE_SECONDS,
        timers.ENDING_SECONDS,
        timers.ASK_SECONDS,
        timers.START_RUN_SECONDS,
        timers.RESOLVE_SECONDS,
        timers.LOST_LAUNCHER_SECONDS,
        timers.ABANDONED_SECONDS,
        timers.START_TIMEOUT_SECONDS,
    ]
    assert in_order == sorted(set(in_order))
    # A fork that is given up is told to a launcher that is still there.
    assert timers.FORK_SECONDS < timers.START_RUN_SECONDS
    assert timers.OVER_SECONDS < 20


def test_an_automated_launch_is_over_within_a_second() -> None:
    waits = timers.Patience.AUTOMATED
    assert waits.start_run_seconds + waits.resolve_seconds < 1
    person = timers.Patience.PERSON
    assert person.start_run_seconds == timers.START_RUN_SECONDS
    assert person.resolve_seconds == timers.RESOLVE_SECONDS
