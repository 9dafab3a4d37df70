"""Where a piece of code runs: which task, which process, under which limits."""

import json
import os
import urllib.request
from dataclasses import asdict, dataclass
from pathlib import Path

CODE_VERSION = Path(__file__).with_name("VERSION").read_text().strip()


@dataclass(frozen=True)
class Place:
    """What a process can say about itself.

    Attributes:
        run_id: The run that asked.
        code_version: Content of the location's VERSION file when this process imported it.
        user: Number of the user.
        pid: Process id, in the namespace of its container.
        ppid: Id of the parent process.
        task_arn: ARN of the ECS task, None where there is no task metadata.
        family: Task definition family, None where there is no task metadata.
        revision: Task definition revision, None where there is no task metadata.
        cpu: The task's limit in vCPU, None where there is none.
        memory_mib: The task's limit in MiB, None where there is none.
        cgroup: Lines of /proc/self/cgroup.
        isolated_attempt: Value of RUN_ISOLATION_ATTEMPT, which only isolated tasks have.
    """

    run_id: str
    code_version: str
    user: int
    pid: int
    ppid: int
    task_arn: str | None
    family: str | None
    revision: str | None
    cpu: float | None
    memory_mib: int | None
    cgroup: tuple[str, ...]
    isolated_attempt: str | None

    @classmethod
    def here(cls, run_id: str) -> "Place":
        """Look around in this process."""
        task = _task_metadata()
        limits = task.get("Limits", {})
        return cls(
            run_id=run_id,
            code_version=CODE_VERSION,
            user=os.getuid(),
            pid=os.getpid(),
            ppid=os.getppid(),
            task_arn=task.get("TaskARN"),
            family=task.get("Family"),
            revision=task.get("Revision"),
            cpu=limits.get("CPU"),
            memory_mib=limits.get("Memory"),
            cgroup=tuple(Path("/proc/self/cgroup").read_text().splitlines()),
            isolated_attempt=os.environ.get("RUN_ISOLATION_ATTEMPT"),
        )

    def as_json(self) -> str:
        """Return all of it as one line of JSON."""
        return json.dumps(asdict(self))


def _task_metadata() -> dict:  # type: ignore[type-arg]
    """Return the `/task` document of the task metadata endpoint, {} outside of a task.

    https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html
    """
    base = os.environ.get("ECS_CONTAINER_METADATA_URI_V4")
    if base is None:
        return {}
    with urllib.request.urlopen(f"{base}/task", timeout=5) as answer:
        return json.load(answer)  # type: ignore[no-any-return]
