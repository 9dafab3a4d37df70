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
    assert timers.FORK_SECONDS <= timers.START_RUN_SECONDS
