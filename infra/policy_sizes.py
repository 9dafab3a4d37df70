"""Whether policies are within IAM's limits: known before anything is created.

https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from infra import limits, policy_statements
from infra.config import Problem
from infra.deployment import Deployment
from infra.statement_builders import document

POLICY_LIMIT: Final = 6144
"""Characters of a managed policy, white space not counted."""
ROLE_LIMIT: Final = 10240
"""Characters of a role's own policies, counted so."""


def problems(deployment: Deployment) -> list[Problem]:
    """What is too large, and which key makes it so."""
    without = _without_shared(deployment)
    size = _launcher(deployment)
    if size > POLICY_LIMIT >= _launcher(without):
        shared = deployment.config.instance.secrets
        room = POLICY_LIMIT - _launcher(without)
        return [_too_many("instance.secrets", shared, size, POLICY_LIMIT, room)]
    return [
        *limits.problem(
            deployment,
            _launcher,
            POLICY_LIMIT,
            "a policy of {size} characters",
            f"policies of up to {POLICY_LIMIT} characters, IAM's limit",
        ),
        *_of_locations(deployment),
    ]


def _of_locations(deployment: Deployment) -> Iterator[Problem]:
    shared = deployment.config.instance.secrets
    bare = _without_shared(deployment)
    for name, config in sorted(deployment.config.code_locations.items()):
        size = _execution(deployment, name)
        if size > ROLE_LIMIT:
            room = ROLE_LIMIT - _execution(_without_own(bare, name), name)
            key = f"codeLocations.{name}.secrets"
            yield _too_many(key, {**shared, **config.secrets}, size, ROLE_LIMIT, room)


def _too_many(key: str, secrets: dict[str, str], size: int, limit: int, room: int) -> Problem:
    """The problem of secrets by environment variable.

    Args:
        key: What to take them out of.
        secrets: Their ARNs, with those of the instance where a location has them, too.
        size: Of the policy.
        limit: Of its size.
        room: Characters of it that are left for secrets.
    """
    distinct = {":".join(arn.split(":")[:7]) for arn in secrets.values()}
    # Once as what is read, once as what is decrypted.
    each = max(2 * (len(arn) + 3) for arn in distinct)
    return Problem(
        f"run-isolation:{key}",
        f"{len(distinct)} secrets, a policy of {size} characters",
        f"what fits into a policy of {limit} characters, IAM's limit. Several values in one secret "
        "as JSON count once: name each by its key, <ARN of the secret>:<key>::",
        f"about {max(0, room // each)} secrets",
    )


def _launcher(deployment: Deployment) -> int:
    """Size of the larger one of the launcher's policies."""
    both = policy_statements.launcher(deployment), policy_statements.launcher_roles(deployment)
    return max(len(document(statements)) for statements in both)


def _execution(deployment: Deployment, location: str) -> int:
    return len(document(policy_statements.execution(deployment, location)))


def _without_shared(deployment: Deployment) -> Deployment:
    """The same without `instance.secrets`."""
    instance = deployment.config.instance.model_copy(update={"secrets": {}})
    config = deployment.config.model_copy(update={"instance": instance})
    return replace(deployment, config=config)


def _without_own(deployment: Deployment, location: str) -> Deployment:
    """The same without the secrets of one code location."""
    own = deployment.config.code_locations[location].model_copy(update={"secrets": {}})
    config = deployment.config.model_copy(update={"code_locations": {location: own}})
    return replace(deployment, config=config)
