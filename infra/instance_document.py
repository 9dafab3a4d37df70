"""The deployment's one Dagster instance: what the config says of it, as the runtime's document.

Our defaults, then ``instance.dagsterYaml``, then ``deploymentSettings``: the later goes before the
earlier (docs/decisions/33-one-instance.md).
"""

import copy
from typing import Any, Final, cast

from infra.config.dagster_yaml import SPLIT_STORAGES
from infra.config.fields import BUILT_IN_ENV
from infra.deployment import COMPUTE_LOGS, PROJECT, Deployment
from run_isolation import default_instance
from run_isolation.instance import Instance

_MERGED: Final = frozenset(
    {
        *("concurrency", "run_monitoring", "run_retries", "auto_materialize", "run_coordinator"),
        *("runs", "pools", "run_tags", "config", "block_op_concurrency_limited_runs"),
        *("sensors", "schedules"),
    }
)
"""Keys whose mappings are read key by key. Others are replaced as a whole."""
_QUEUE: Final = "run_queue"
_COORDINATOR: Final = "run_coordinator"


def render(deployment: Deployment) -> Instance:
    """The newest version of the document."""
    config = deployment.config
    settings = config.deployment_settings
    yaml = default_instance.default_dagster_yaml(_storage(deployment), _compute_logs(deployment))
    for said in (config.instance.dagster_yaml or {}, settings.dagster_yaml):
        _merge(yaml, _as_ours(said))
    if any(key in yaml for key in SPLIT_STORAGES):
        del yaml["storage"]
    _rename_pool_limit(yaml)
    return Instance(
        dagster_yaml=yaml,
        env=environment(deployment),
        secrets=dict(config.instance.secrets),
        sensor_timeout_seconds=settings.default_sensor_timeout,
        schedule_timeout_seconds=settings.default_schedule_timeout,
    )


def environment(deployment: Deployment) -> dict[str, str]:
    """What every actor has in its environment, unless it says otherwise itself."""
    instance = deployment.config.instance
    built_in = dict(zip(BUILT_IN_ENV, (deployment.name, "0"), strict=True))
    return {
        name: value
        for name, value in {**built_in, **instance.env}.items()
        if name not in instance.secrets
    }


def _storage(deployment: Deployment) -> dict[str, Any]:
    """What `storage` is where `dagsterYaml` has none of its own."""
    instance = deployment.config.instance
    if instance.sqlite_directory is not None:
        return default_instance.sqlite(str(PROJECT / instance.sqlite_directory))
    database = instance.database
    # Without any of them dagsterYaml has a storage, which takes this one's place.
    said: dict[str, Any] = {"secret_arn": instance.database_secret}
    if database is not None:
        said |= {
            "keys": database.keys.model_dump(exclude_defaults=True) or None,
            "host": database.host,
            "port": database.port,
            "name": database.name,
            "user": database.user,
            "iam": database.iam_authentication or None,
            "region": deployment.region if database.iam_authentication else None,
            "ssl_mode": database.ssl_mode,
            "ssl_root_cert": database.ssl_root_cert,
        }
    known = {key: value for key, value in said.items() if value is not None}
    return default_instance.postgres(**cast(default_instance.Database, known))


def _compute_logs(deployment: Deployment) -> dict[str, Any]:
    """What `compute_logs` is where `dagsterYaml` has none of its own."""
    instance = deployment.config.instance
    bucket = deployment.bucket(COMPUTE_LOGS, instance.compute_logs_bucket)
    if bucket is not None:
        return default_instance.s3_logs(bucket, deployment.name, deployment.region)
    if instance.sqlite_directory is not None:
        return default_instance.local_logs(str(PROJECT / instance.sqlite_directory))
    return default_instance.no_logs()


def _as_ours(said: dict[str, Any]) -> dict[str, Any]:
    """The same with our coordinator and launcher, which take the config of Dagster's queue."""
    ours = {key: copy.deepcopy(value) for key, value in said.items() if value is not None}
    queue = ours.pop(_QUEUE, None) or ours.pop(_COORDINATOR, {}).get("config", {})
    ours.pop("run_launcher", None)
    return ours | ({_COORDINATOR: {"config": queue}} if queue else {})


def _merge(below: dict[str, Any], above: dict[str, Any]) -> None:
    """Put what one mapping says over what another one says."""
    for key, value in above.items():
        known = below.get(key)
        if key in _MERGED and isinstance(known, dict) and isinstance(value, dict):
            _merge(known, value)
        else:
            below[key] = value


def _rename_pool_limit(yaml: dict[str, Any]) -> None:
    """Dagster refuses the old name of a pool's limit beside the new keys of pools."""
    concurrency = yaml.get("concurrency", {})
    if "pools" in concurrency and "default_op_concurrency_limit" in concurrency:
        old = concurrency.pop("default_op_concurrency_limit")
        concurrency["pools"].setdefault("default_limit", old)
