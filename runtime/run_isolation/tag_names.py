"""Tags that are read from runs and written on them."""

from __future__ import annotations

from typing import Final

ISOLATION: Final = "dagster/isolation"
"""Asks for a run without its own task. Dagster's own name for it: ``RUN_ISOLATION_TAG``."""

DISABLED: Final = "disabled"
"""The one value of ``ISOLATION`` that Dagster+ acts on, letter by letter."""

ECS_CPU: Final = "ecs/cpu"
"""CPU units (1024 are one vCPU) for this run's own task, as EcsRunLauncher spells it."""

ECS_MEMORY: Final = "ecs/memory"
"""MiB for this run's own task."""

ECS_EPHEMERAL_STORAGE: Final = "ecs/ephemeral_storage"
"""GiB of disk for this run's own task."""

ECS_TASK_OVERRIDES: Final = "ecs/task_overrides"
"""JSON: more overrides of this run's own task."""

ECS_CONTAINER_OVERRIDES: Final = "ecs/container_overrides"
"""JSON: overrides of the container in this run's own task."""

ECS_RUN_TASK_KWARGS: Final = "ecs/run_task_kwargs"
"""JSON: more arguments of the RunTask call for this run."""

ECS_PREFIX: Final = "ecs/"
"""Every tag below it says something about the run's own task."""

KIND: Final = "run_isolation/kind"
"""``isolated`` or ``non-isolated``: what the run became."""

REASON: Final = "run_isolation/reason"
"""Why it became that, as a sentence for the person who launched it."""

ATTEMPT: Final = "run_isolation/attempt"
"""Which launch of this run is in charge, counted from 1."""

TASK_ARN: Final = "run_isolation/task_arn"
"""The ECS task that executes the run: its own, or the code location's standing task."""

ADDRESS: Final = "run_isolation/address"
"""``ip:port`` of the standing task that executes a non-isolated run."""

PEAK_MIB: Final = "run_isolation/peak_mib"
"""The most memory that the run's processes had at once, in MiB."""

START_LATENCY_SECONDS: Final = "run_isolation/start_latency_seconds"
"""Seconds from the launch to the run's start."""

CPU_SECONDS: Final = "run_isolation/cpu_seconds"
"""CPU seconds of the run's processes, all together."""

OUT_OF_MEMORY: Final = "run_isolation/out_of_memory"
"""``true`` on a run that was ended because its standing container had no memory left."""

AGAIN: Final = "run_isolation/executed_again"
"""What becomes of such a run: ``due``, then the id of the run that executes it again, isolated; or
why it is not executed again."""

DUE: Final = "due"
"""The value of ``AGAIN`` while it is to be executed again."""

EXPECTED_MIB: Final = "run_isolation/expected_mib"
"""The most memory that the job's recent runs had, in MiB, when this one was launched."""

INSTANCE: Final = "run_isolation/instance"
"""The version of the deployment's Dagster instance that the run used."""

WAIT: Final = ".dagster/run_isolation_wait"
"""JSON: when the launch of a run that has no task is made again (``isolated.retries.Wait``); empty
where there is nothing to wait for. Dagster's page hides it."""
