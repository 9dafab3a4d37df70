"""The config of the Dagster instance: database, logs, outputs, and what ``dagster.yaml`` says."""

from typing import Annotated, Any, Final, Literal

from pydantic import Field, ValidationInfo, field_validator

from infra.config.base import LOCAL_ACCOUNT, Part, around
from infra.config.dagster_yaml import SPLIT_STORAGES
from infra.config.fields import (
    BucketName,
    Certificates,
    EnvName,
    Path,
    ResourceId,
    SecretArn,
    known_level,
    only_once,
    refused,
)

MANAGED_BY_RDS: Final = ":secret:rds!"
"""In the ARN of a secret that RDS keeps: it has a user and a password, and nothing else
(https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/rds-secrets-manager.html)."""
ENCRYPTED: Final = ("require", "verify-ca", "verify-full")
SslMode = Literal["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]
"""https://www.postgresql.org/docs/current/libpq-ssl.html#LIBPQ-SSL-SSLMODE-STATEMENTS"""


class DatabaseKeys(Part):
    """What the keys of the JSON secret are called. The defaults are RDS's own."""

    user: str = "username"
    password: str = "password"  # noqa: S105
    host: str = "host"
    port: str = "port"
    name: str = "dbname"


class Database(Part):
    """A Postgres database. What is said here goes before what its secret says."""

    secret_arn: SecretArn | None = None
    """JSON, or one URL."""
    keys: DatabaseKeys = DatabaseKeys()
    host: str | None = None
    port: Annotated[int | None, Field(ge=1, le=65535)] = None
    name: str | None = None
    iam_authentication: bool = False
    """Whether a token of IAM takes the place of the password."""
    resource_id: ResourceId | None = None
    """Of the database: what the right to log in by IAM is for. Without it any of the account."""
    user: str | None = None
    ssl_mode: SslMode | None = None
    ssl_root_cert: Certificates | None = None

    @field_validator("host", "name")
    @classmethod
    def _known(cls, value: str | None, info: ValidationInfo) -> str | None:
        secret = info.data.get("secret_arn", "")
        if value is None and (secret is None or MANAGED_BY_RDS in secret):
            what = {"host": "the database's host", "name": "the database's name"}
            why = "there is no secretArn" if secret is None else "RDS's own secret has none"
            raise refused(f"{what[str(info.field_name)]}: {why}", value="(missing)")
        return value

    @field_validator("iam_authentication")
    @classmethod
    def _some_password(cls, value: bool, info: ValidationInfo) -> bool:
        if not value and info.data.get("secret_arn", "") is None:
            raise refused("true, or a secretArn with the password", "true")
        return value

    @field_validator("resource_id")
    @classmethod
    def _of_iam(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("iam_authentication") is False:
            raise refused("absent: without iamAuthentication nobody is given the right to log in")
        return value

    @field_validator("user")
    @classmethod
    def _named_for_iam(cls, user: str | None, info: ValidationInfo) -> str | None:
        if user is None and info.data.get("iam_authentication"):
            raise refused(
                "the database user that tasks log in as: their right to it is by name",
                value="(missing)",
            )
        return user

    @field_validator("ssl_mode")
    @classmethod
    def _encrypted_for_iam(cls, mode: str | None, info: ValidationInfo) -> str | None:
        if mode is not None and mode not in ENCRYPTED and info.data.get("iam_authentication"):
            raise refused(f"{', '.join(ENCRYPTED)}: RDS takes a token over TLS only", "require")
        return mode


class Instance(Part):
    """The Dagster instance that webserver, daemon and tasks share."""

    database_url_secret_arn: SecretArn | None = None
    """The secret is one Postgres URL."""
    database: Database | None = None
    sqlite_directory: Path | None = None
    compute_logs_bucket: BucketName | None = None
    """``create``, or a bucket's name."""
    io: BucketName | None = None
    """The same, for outputs of the default I/O manager."""
    env: dict[EnvName, str] = Field(default_factory=dict)
    secrets: dict[EnvName, SecretArn] = Field(default_factory=dict)
    dagster_yaml: dict[str, Any] | None = None
    """What the key says or its file has, as ``infra.config.dagster_yaml`` has checked it."""

    @field_validator("sqlite_directory")
    @classmethod
    def _only_locally(cls, directory: str | None, info: ValidationInfo) -> str | None:
        if directory is not None and around(info).account != LOCAL_ACCOUNT:
            raise refused(
                f"only in the local account {LOCAL_ACCOUNT}: tasks on AWS share no disk",
                "databaseUrlSecretArn",
            )
        return directory

    _levels = field_validator("env")(known_level)
    _once = field_validator("secrets")(only_once)

    @field_validator("dagster_yaml")
    @classmethod
    def _one_storage(
        cls, content: dict[str, Any] | None, info: ValidationInfo
    ) -> dict[str, Any] | None:
        keys = ("database_url_secret_arn", "database", "sqlite_directory")
        if not around(info).dagster_yaml_read or any(key not in info.data for key in keys):
            return content
        names = ("databaseUrlSecretArn", "database", "sqliteDirectory")
        given = [name for key, name in zip(keys, names, strict=True) if info.data[key] is not None]
        if any(key in (content or {}) for key in ("storage", *SPLIT_STORAGES)):
            given.append("a storage in dagsterYaml")
        if len(given) != 1:
            raise refused(
                f"exactly one of {', '.join(names)} and a storage in dagsterYaml",
                given[0] if given else names[0],
                value=" and ".join(given) or "none of them",
                of_parent=True,
            )
        return content

    @field_validator("dagster_yaml")
    @classmethod
    def _one_place_for_logs(
        cls, content: dict[str, Any] | None, info: ValidationInfo
    ) -> dict[str, Any] | None:
        if "compute_logs" in (content or {}) and info.data.get("compute_logs_bucket") is not None:
            raise refused(
                "computeLogsBucket, or compute_logs in dagsterYaml",
                "computeLogsBucket",
                value="both",
                of_parent=True,
            )
        return content

    @property
    def database_secret(self) -> str | None:
        """What ECS reads the database's secret from, and who needs a newer one."""
        if self.database is not None:
            return self.database.secret_arn
        return self.database_url_secret_arn
