"""How many code locations AWS's limits leave room for."""

from collections.abc import Callable
from dataclasses import replace

from infra.config import Problem
from infra.deployment import Deployment


def problem(
    deployment: Deployment, size: Callable[[Deployment], int], limit: int, value: str, allowed: str
) -> list[Problem]:
    """The problem that something grows too large with its code locations, if it does.

    Args:
        deployment: The deployment.
        size: Of that something.
        limit: AWS's, of the size.
        value: What is too large; `{size}` is its size.
        allowed: What AWS takes.
    """
    count, whole = len(deployment.config.code_locations), size(deployment)
    if whole <= limit:
        return []
    none = deployment.config.model_copy(update={"code_locations": {}})
    fixed = size(replace(deployment, config=none))
    fitting = max(0, (limit - fixed) * count // max(1, whole - fixed))
    return [
        Problem(
            "run-isolation:codeLocations",
            f"{count} locations, {value.format(size=whole)}",
            allowed,
            f"about {fitting} locations; put the others into another stack",
        )
    ]
