"""All that waits in the start of a non-isolated run, each one's length against the next.

Whoever waits does so for somebody named here, who has given up by then. The states between are
drawn in docs/architecture.md, "Start of a non-isolated run".
"""

from __future__ import annotations

from enum import Enum
from typing import Final

AUTOMATED_SECONDS: Final = 0.5
"""An automated launch for the answer to its one StartRun: it is made in a thread of Dagster's that
others wait for. A forked run answers in that time; of another one the watcher hears the rest."""

ENDING_SECONDS: Final = 5
"""The coordinator, which was denied a slot, for the processes of runs that are over. Dagster's
server looks for ended processes twice a second, and one at a quarter of a vCPU takes its time."""
ENDING_PAUSE_SECONDS: Final = 0.2
"""Between its questions."""
ENDING_ASK_SECONDS: Final = 1
"""For each answer to them. A server that takes longer is one that frees no slot in a moment."""

ASK_SECONDS: Final = 10
"""Whoever asks a standing server what starts nothing: who it is, which runs it has, a cancel."""

OVER_SECONDS: Final = 15
"""The server for a canceled process whose run is over: then it is killed, whatever it does. With
the look at the storage before it, and the server's two looks a second, 20 at most."""

FORK_SECONDS: Final = 30.0
"""The server for the template's answer with the run's process: it may still be warming at 0.25
vCPU, or the container be short of CPU. After that the fork is withdrawn and the run refused, so
that its launcher, which waits for START_RUN_SECONDS, hears of it."""

START_RUN_SECONDS: Final = 60
"""The launcher for the answer to one StartRun, as Dagster's own client (dagster/_grpc/utils.py).
The server answers once the run's process has its instance open, 7.5 s at a quarter of a vCPU where
it is spawned; or, shortly before this time is over, that the run is being started."""

RESOLVE_SECONDS: Final = 150
"""The launcher for a server that does not answer, call after call; somebody may be waiting at the
page. After that the run stays STARTING until the daemon asks again."""

LOST_LAUNCHER_SECONDS: Final = 240
"""The watcher for a run that is STARTING and that no server has: longer than RESOLVE_SECONDS and
the launcher's last call, of START_RUN_SECONDS, together. Two who send a run back to the queue at
once might meet it there when it has been launched again."""

LEFT_TO_WATCHER_SECONDS: Final = 20
"""The watcher for an automated launch: it has asked its server once, and is gone by then."""

ABANDONED_SECONDS: Final = 300
"""The reconciler for a holder without a server: its launcher died on the way. Launching takes it
less than a minute to find the server, or it sends the run back to the queue. Longer than
LOST_LAUNCHER_SECONDS: the watcher comes first, with a StartRun that the slot is still held for."""

START_TIMEOUT_SECONDS: Final = 1200
"""Dagster's monitor for any run that is STARTING, isolated ones too, which it fails then. Its own
default of 180 s is the slowest documented start of a Fargate task; Dagster+ uses 1200 s
(https://docs.dagster.io/deployment/dagster-plus/full-deployments/full-deployment-settings-reference)."""


class Patience(Enum):
    """How long a launch waits for its server: by who waits for the launch."""

    PERSON = "person"
    """At the page, who is to learn what became of the run."""
    AUTOMATED = "automated"
    """A thread of the daemon that launches others' runs, too."""

    @property
    def ask_seconds(self) -> float:
        """For the answer to a question that starts nothing."""
        return ASK_SECONDS if self is Patience.PERSON else AUTOMATED_SECONDS

    @property
    def start_run_seconds(self) -> float:
        """For the answer to one StartRun."""
        return START_RUN_SECONDS if self is Patience.PERSON else AUTOMATED_SECONDS

    @property
    def resolve_seconds(self) -> float:
        """After so long StartRun is repeated no more."""
        return RESOLVE_SECONDS if self is Patience.PERSON else 0
