"""``dagster.yaml`` as the manifest says it."""

from __future__ import annotations

from run_isolation.default_instance import (
    Config,
    default_dagster_yaml,
    local_logs,
    no_logs,
    postgres,
    s3_logs,
    sqlite,
)
from run_isolation.manifest import Manifest


def instance_config(manifest: Manifest) -> Config:
    """``dagster.yaml`` for every process of the deployment."""
    instance = manifest.instance
    directory = instance.sqlite_directory
    secret = instance.database_url_secret_arn
    storage = postgres(secret_arn=str(secret)) if directory is None else sqlite(directory)
    if instance.compute_logs_bucket is not None:
        logs = s3_logs(instance.compute_logs_bucket, manifest.deployment, manifest.region)
    else:
        logs = no_logs() if directory is None else local_logs(directory)
    return default_dagster_yaml(storage, logs)
