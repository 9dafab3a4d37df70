"""Waiting for all standing containers that an `up` has changed, at its end and at once.

A service's own hook only notes it. Were it to wait, it would keep one of the engine's few steps;
were it to fail, the engine would begin no step of another code location any more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pulumi
from tenacity import AsyncRetrying, RetryError, retry_if_result, stop_after_delay, wait_fixed

from infra.deployment import Deployment
from infra.hooks.one_rollout import Rollout, RolloutError
from infra.hooks.own_thread import in_own_thread

if TYPE_CHECKING:
    from infra.hooks.aws_clients import Clients

PATIENCE: Final = 900.0
"""Seconds: the health check's start period of 5 minutes, and time for an image of some GB."""

POLL_INTERVAL: Final = 3.0
"""Seconds between two looks at a service, at least."""

LOOKS_PER_SECOND: Final = 5.0
"""Of all services: a look is up to three calls, and DescribeTasks and ListTasks share 20 per second
in an account (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html)."""

AT_ONCE: Final = 8
"""Looks. A client has 10 connections."""

TELL_SECONDS: Final = 30.0
"""From one line of progress to the next, at most. What watches the engine's events can tell by
them that it waits from that it hangs."""

NAMED: Final = 10
"""Code locations that a line of progress names."""


class Rollouts:
    """The services that this `up` has changed, until a container of each is healthy."""

    def __init__(self, deployment: Deployment, clients: Clients) -> None:
        self._deployment = deployment
        self._clients = clients
        self._changed: dict[str, Rollout] = {}

    def note(self, service: Mapping[str, Any]) -> None:
        """Notes a service that was created or updated.

        Args:
            service: Its ``name``, ``cluster`` (ARN) and ``taskDefinition`` (ARN).
        """
        name = service["name"]
        self._changed[name] = Rollout(
            self._clients.ecs,
            self._clients.logs,
            self._deployment.log_group(name),
            service["cluster"],
            name,
            service["taskDefinition"],
        )

    async def wait(self, patience: float = PATIENCE, interval: float = POLL_INTERVAL) -> None:
        """Returns when each service that was noted has a healthy container, and forgets them.

        Args:
            patience: Seconds before it gives a service up.
            interval: Seconds between two looks at a service, at least.

        Raises:
            RolloutError: With each code location that has none, and why.
        """
        rollouts, self._changed = list(self._changed.values()), {}
        if not rollouts:
            return
        interval = max(interval, len(rollouts) / LOOKS_PER_SECOND)
        turns = asyncio.Semaphore(AT_ONCE)
        progress = _Progress([one.service for one in rollouts])

        async def end(rollout: Rollout) -> RolloutError | None:
            error = await _end(rollout, patience, interval, turns)
            progress.ended(rollout.service, error)
            return error

        async with progress.told(interval):
            ends = await asyncio.gather(*(end(one) for one in rollouts))
        failures = [str(error) for error in ends if error is not None]
        if failures:
            raise RolloutError(_report(failures, len(rollouts) - len(failures)))


@dataclass
class _Progress:
    """Who is healthy and who is not yet, for the user."""

    waiting: list[str]
    failed: list[str] = field(default_factory=list)
    healthy: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    """Since the last line."""

    def ended(self, service: str, error: RolloutError | None) -> None:
        """Notes that nobody waits for this one any more."""
        self.waiting.remove(service)
        if error:
            self.failed.append(service)
        else:
            self.healthy += 1
        self.changed.set()

    @asynccontextmanager
    async def told(self, pause: float) -> AsyncIterator[None]:
        """Tells of each change during the block, and every TELL_SECONDS where there is none.

        Args:
            pause: Seconds between two lines, at least: what changes meanwhile goes into one.
        """
        telling = asyncio.create_task(self._keep_telling(pause))
        try:
            yield
        finally:
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
        if self.changed.is_set():
            self._tell()

    async def _keep_telling(self, pause: float) -> None:
        while True:
            self._tell()
            await asyncio.sleep(pause)
            with suppress(TimeoutError):
                async with asyncio.timeout(TELL_SECONDS - pause):
                    await self.changed.wait()

    def _tell(self) -> None:
        self.changed.clear()
        count = self.healthy + len(self.failed) + len(self.waiting)
        of = "code locations are" if count > 1 else "code location is"
        parts = [f"{self.healthy} of {count} {of} healthy"]
        parts += [f"failed: {_names(self.failed)}"] if self.failed else []
        parts += [f"waiting for: {_names(self.waiting)}"] if self.waiting else []
        # Ephemeral: it takes the place of the last one, and is not repeated at the end of `up`.
        pulumi.log.info("; ".join(parts), ephemeral=True)


def _names(services: Sequence[str]) -> str:
    more = f" and {len(services) - NAMED} more" if len(services) > NAMED else ""
    return ", ".join(services[:NAMED]) + more


async def _end(
    rollout: Rollout, patience: float, interval: float, turns: asyncio.Semaphore
) -> RolloutError | None:
    async def look() -> bool:
        async with turns:
            return await in_own_thread(rollout.healthy)

    looks = AsyncRetrying(
        retry=retry_if_result(lambda healthy: not healthy),
        stop=stop_after_delay(patience),
        wait=wait_fixed(interval),
    )

    async def outcome() -> RolloutError | None:
        try:
            await looks(look)
        except RetryError:
            reason = f"no healthy container after {patience:.0f} s"
            return await in_own_thread(rollout.error, reason)
        return None

    try:
        return await outcome()
    except RolloutError as error:
        return error
    except Exception as error:  # of AWS, on one location: the others are told all the same
        return RolloutError(f"code location {rollout.service}: {type(error).__name__}: {error}")


def _report(failures: list[str], healthy: int) -> str:
    count = f"{len(failures)} code location{'s' * (len(failures) > 1)} did not come up"
    others = f"; {healthy} other{'s' * (healthy > 1)} did" if healthy else ""
    after = (
        "ECS keeps the previous container where there is one. Mend the image or the config, then "
        "`pulumi up`. To try the same again: `pulumi up --refresh` where ECS went back; otherwise "
        "`aws ecs update-service --force-new-deployment` with the cluster's and the service's "
        "name, then `pulumi up`."
    )
    return "\n\n".join([f"{count}{others}.", *failures, after])
