"""Launchers that die: SIGKILL at each step of a launch, and a daemon restarted in the middle."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

from dagster import DagsterRun

from tests.faults.contenders import environment
from tests.faults.stage import Seen, Stage

MOST_STEPS = 40
"""A launch has fewer."""


def daemon_restarted(stage: Stage) -> Seen:
    """The daemon is killed while RunTask is on its way, and started again."""
    stage.account.fault("delay", operation="RunTask", seconds=3)
    run = stage.submit()
    stage.wait_for_call("RunTask")
    stage.contender.daemon.kill()
    stage.contender.daemon.start()
    return stage.look(run)


def killed_at_each_step(stage: Stage) -> Seen:
    """A launcher is killed before and after each call and each write of its launch."""
    return worst(killed_steps(stage))


def killed_steps(stage: Stage) -> dict[str, Seen]:
    """What is seen of a run for each step, by the step's name."""
    with stage.daemon_paused():
        # Still in the queue, or STARTING: what the next daemon finds after a crash.
        runs = dict(_launches(stage))
    return {name: stage.look(run) for name, run in runs.items()}


def worst(steps: dict[str, Seen]) -> Seen:
    """The first run that did not succeed as it should, else the first one; with counts of all."""
    good = {name: one.kept and one.status == "SUCCESS" for name, one in steps.items()}
    name = next((name for name in steps if not good[name]), next(iter(steps)))
    return replace(steps[name], step=name, steps=len(steps), steps_good=sum(good.values()))


def _launches(stage: Stage) -> Iterator[tuple[str, DagsterRun]]:
    """Launches runs until one launch has been through all of its steps."""
    contender = stage.contender
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.faults.killed_launcher"],
        env=environment(contender.stack, contender.home),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )
    with process:
        assert process.stdin
        assert process.stdout
        for number in range(1, MOST_STEPS):
            run = stage.submit()
            process.stdin.write(f"{run.run_id} {number}\n")
            step = process.stdout.readline().strip()
            if not step:
                yield "none", run
                break
            yield f"{number}. {step}", run
        process.stdin.close()
        assert process.wait() == 0, "a launch failed by itself"
