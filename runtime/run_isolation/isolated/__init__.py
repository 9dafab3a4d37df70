"""Isolated runs, each in an ECS task of its own, from RunTask to the end of the task.

``run_task`` is the one call, made of what the run's tags ask (``ecs_wishes``, ``task_sizes``) and
where an attempt is placed; ``run_task_answers`` and ``retries`` say what follows from an answer.
``claims`` lets one task execute a run. ``waiting_runs``, ``stop_reasons`` and ``orphans`` decide
what becomes of runs and tasks then.
"""
