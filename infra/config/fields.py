"""The kinds of values that the config is made of, each with its check.

A check raises :func:`refused`, which says what is allowed and what comes nearest.
"""

import re
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from ipaddress import IPv4Network
from typing import Annotated, Any, Final

from pydantic import AfterValidator, ValidationInfo
from pydantic_core import PydanticCustomError

from run_isolation import log_level
from run_isolation.fargate import nearest_number

_ACCOUNT: Final = r"[0-9]{12}"
_PARTITION: Final = r"aws(?:-[a-z]+)*"
_REGION: Final = r"[a-z]{2}(?:-[a-z]+)+-[0-9]"

RESERVED_ENV: Final = ("AWS_REGION", "DAGSTER_CURRENT_IMAGE")
RESERVED_ENV_PREFIX: Final = "RUN_ISOLATION_"
"""Variables that every task gets from us."""
BUILT_IN_ENV: Final = ("DAGSTER_CLOUD_DEPLOYMENT_NAME", "DAGSTER_CLOUD_IS_BRANCH_DEPLOYMENT")
"""Variables of Dagster+'s that code branches on: every actor has them, and the user may set them
(https://docs.dagster.io/deployment/dagster-plus/management/environment-variables/built-in)."""

RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""https://docs.aws.amazon.com/AmazonCloudWatchLogs/latest/APIReference/API_PutRetentionPolicy.html"""

LOCATION_NAME_LIMIT: Final = 100
"""Bytes. Each holder of a slot has its location's name in the one item of all holders."""

TAG_PREFIXES: Final = ("aws:", "run-isolation:")


def refused(
    allowed: str, nearest: object = None, *, value: object = None, of_parent: bool = False
) -> PydanticCustomError:
    """What a check raises.

    Args:
        allowed: What the value may be.
        nearest: The allowed value that is most like the one given.
        value: What to show instead of the field's value.
        of_parent: The problem is one of the mapping that holds the field.
    """
    context: dict[str, Any] = {"allowed": allowed, "of_parent": of_parent}
    if nearest is not None:
        context["nearest"] = str(nearest)
    if value is not None:
        context["value"] = value
    return PydanticCustomError("refused", "refused", context)


def nearest_text(value: str, choices: Sequence[str]) -> str | None:
    """The choice that reads most like the value, in whatever case."""
    by_lower = {choice.lower(): choice for choice in choices}
    close = get_close_matches(value.lower(), by_lower, n=1, cutoff=0.4)
    return by_lower[close[0]] if close else None


def _shaped(pattern: str, allowed: str, mend: Callable[[str], str] | None = None) -> AfterValidator:
    """A check that text has a shape.

    Args:
        pattern: What the whole text must match.
        allowed: The same in words.
        mend: What the user may have meant; offered where it has the shape.
    """
    shape = re.compile(pattern)

    def check(value: str) -> str:
        if not shape.fullmatch(value):
            mended = mend(value) if mend else None
            raise refused(allowed, mended if mended and shape.fullmatch(mended) else None)
        return value

    return AfterValidator(check)


def _as_identifier(value: str) -> str:
    return re.sub(r"\W+", "_", value).strip("_")


def _as_module(value: str) -> str:
    path = value.removesuffix(".py").replace("/", ".")
    return ".".join(part for part in map(_as_identifier, path.split(".")) if part)


def _as_image(value: str) -> str:
    repository, separator, tag = value.strip().removeprefix("https://").rpartition(":")
    return f"{repository}{separator}{tag}".replace(" ", "-").lower() if separator else tag.lower()


_REPOSITORY: Final = r"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
Image = Annotated[
    str,
    # https://github.com/distribution/reference/blob/main/regexp.go
    _shaped(
        rf"{_REPOSITORY}(?::[A-Za-z0-9_][\w.-]{{0,127}})?(?:@sha256:[0-9a-f]{{64}})?",
        "an image reference: [registry/]repository[:tag][@sha256:digest], repository in lower case",
        _as_image,
    ),
]
Module = Annotated[
    str,
    _shaped(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*", "a Python module, like sales.defs", _as_module),
]
Attribute = Annotated[
    str, _shaped(r"[A-Za-z_]\w*", "the name of an attribute, like defs", _as_identifier)
]
PythonFile = Annotated[
    str, _shaped(r"\S.*\.py", "the path of a .py file in the image", lambda v: f"{v.strip()}.py")
]
Path = Annotated[str, _shaped(r"\S.*", "the path of a directory")]
ImageDirectory = Annotated[
    str,
    # https://github.com/opencontainers/runtime-spec/blob/main/config.md#process: a relative path
    # passes RegisterTaskDefinition, and then no container starts.
    _shaped(r"/.*", "the absolute path of a directory in the image, like /app", str.strip),
]
SecretArn = Annotated[
    str,
    # https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Secret.html
    _shaped(
        # Nobody may put a "!" into a name but AWS: rds!db-… is a secret of RDS's own.
        rf"arn:{_PARTITION}:secretsmanager:{_REGION}:{_ACCOUNT}:secret:[\w/+=.@!-]+-[A-Za-z0-9]{{6}}"
        r"(?::[^:]*:[^:]*:[^:]*)?"
        rf"|arn:{_PARTITION}:ssm:{_REGION}:{_ACCOUNT}:parameter/[\w./-]+",
        "the full ARN of a Secrets Manager secret, arn:aws:secretsmanager:<region>:<account>:"
        "secret:<name>-<6 characters>[:<JSON key>::], or of an SSM parameter",
    ),
]
Certificates = Annotated[
    str,
    # https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-CONNECT-SSLROOTCERT
    _shaped(r"/.*[^/]|system", "the absolute path of a file in every image, or system", str.strip),
]
ResourceId = Annotated[
    str,
    # https://docs.aws.amazon.com/AmazonRDS/latest/UserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
    _shaped(
        r"(?:db|cluster|prx)-[A-Za-z0-9]+",
        "the resource id of an RDS database, cluster or proxy: db-…, cluster-… or prx-…",
    ),
]
PolicyArn = Annotated[
    str,
    _shaped(
        rf"arn:{_PARTITION}:iam::(?:aws|{_ACCOUNT}):policy/[\w+=,.@/-]+",
        "the ARN of a managed policy, arn:aws:iam::<account>:policy/<name>",
    ),
]
VpcId = Annotated[str, _shaped(r"vpc-[0-9a-f]{8,17}", "the id of a VPC, vpc-<hexadecimal digits>")]
SubnetId = Annotated[
    str, _shaped(r"subnet-[0-9a-f]{8,17}", "the id of a subnet, subnet-<hexadecimal digits>")
]
BucketName = Annotated[
    str,
    # https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html
    _shaped(
        r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]",
        "create, or the name of your bucket: 3 to 63 lower-case letters, digits, dots and hyphens",
        lambda value: value.lower().replace("_", "-"),
    ),
]


def _own_bucket(value: str) -> str:
    if value == "create":
        raise refused("the name of a bucket of yours; create is for `instance.io`")
    return value


OwnBucketName = Annotated[BucketName, AfterValidator(_own_bucket)]


def _location_name(value: str) -> str:
    printable = value.isprintable() and value.strip() == value
    if not value or not printable or len(value.encode()) > LOCATION_NAME_LIMIT:
        raise refused(
            f"1 to {LOCATION_NAME_LIMIT} bytes of text in one line, no spaces around it",
            " ".join(value.split()).encode()[:LOCATION_NAME_LIMIT].decode(errors="ignore") or None,
        )
    return value


LocationName = Annotated[str, AfterValidator(_location_name)]


def _env_name(name: str) -> str:
    shape = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
    if not shape.fullmatch(name):
        raise refused("letters, digits and _, not starting with a digit", _as_identifier(name))
    ours = name.startswith(RESERVED_ENV_PREFIX) and name != log_level.VARIABLE
    if ours or name in RESERVED_ENV:
        reserved = ", ".join((f"{RESERVED_ENV_PREFIX}*", *RESERVED_ENV))
        raise refused(f"any name but {reserved}, which every task gets from run-isolation")
    return name


def known_level(env: dict[str, str]) -> dict[str, str]:
    """A check of environment variables: ours among them has a value that we know."""
    level = env.get(log_level.VARIABLE, log_level.LEVELS[0])
    if level.lower() not in log_level.LEVELS:
        levels = ", ".join(log_level.LEVELS)
        raise refused(
            f"{log_level.VARIABLE} with one of {levels}",
            nearest_text(level, log_level.LEVELS),
            value=f"{log_level.VARIABLE}={level}",
        )
    return env


def only_once(secrets: dict[str, str], info: ValidationInfo) -> dict[str, str]:
    """A check of secret environment variables: none is in ``env``, too."""
    both = sorted(secrets.keys() & info.data.get("env", {}).keys())
    if both:
        raise refused("names that env does not have, too", value=", ".join(both))
    return secrets


def _cidr(value: str) -> str:
    allowed = (
        "an IPv4 block from /16 to /24: halves of it become the private and public subnets of "
        "two zones, and every isolated run takes an address"
    )
    try:
        block = IPv4Network(value, strict=False)
    except ValueError:
        raise refused(allowed, "10.0.0.0/16") from None
    fitting = min(max(block.prefixlen, 16), 24)
    mended = block.supernet(new_prefix=fitting) if block.prefixlen > fitting else block
    if block.prefixlen < fitting:
        mended = next(block.subnets(new_prefix=fitting))
    if str(mended) != value:
        raise refused(allowed, mended)
    return value


def _tag_key(key: str) -> str:
    allowed = f"1 to 128 letters, digits, spaces and _.:/=+-@, not starting with {TAG_PREFIXES}"
    if not re.fullmatch(r"[\w\s.:/=+@-]{1,128}", key) or key.lower().startswith(TAG_PREFIXES):
        raise refused(allowed.replace("('", "").replace("', '", " or ").replace("')", ""))
    return key


def _retention(days: int) -> int:
    if days not in RETENTION_DAYS:
        choices = ", ".join(map(str, RETENTION_DAYS))
        raise refused(f"one of {choices} days", nearest_number(days, RETENTION_DAYS))
    return days


EnvName = Annotated[str, AfterValidator(_env_name)]
Cidr = Annotated[str, AfterValidator(_cidr)]
TagKey = Annotated[str, AfterValidator(_tag_key)]
TagValue = Annotated[
    str, _shaped(r"[\w\s.:/=+@-]{0,256}", "up to 256 letters, digits, spaces and _.:/=+-@")
]
RetentionDays = Annotated[int, AfterValidator(_retention)]
