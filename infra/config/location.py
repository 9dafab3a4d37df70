"""The config of one code location.

Checks that involve several keys sit on the last of them: pydantic runs a field's check even when
other fields are wrong, so that every problem is found at once.
"""

from typing import Annotated, Any, Final, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationInfo, field_validator
from pydantic.alias_generators import to_camel

from infra.config.base import Part
from infra.config.fields import (
    Attribute,
    EnvName,
    Image,
    ImageDirectory,
    LocationName,
    Module,
    OwnBucketName,
    PolicyArn,
    PythonFile,
    SecretArn,
    known_level,
    nearest_text,
    only_once,
    refused,
)
from run_isolation.fargate import (
    CPUS,
    EPHEMERAL_STORAGE,
    MEMORY_BY_CPU,
    TASK_SIZE_URL,
    memory_text,
    nearest_number,
)
from run_isolation.slots.settings import MOST_SLOTS

Architecture = Literal["X86_64", "ARM64"]
_OTHER_NAMES: Final = {"amd64": "X86_64", "x64": "X86_64", "aarch64": "ARM64"}


class StandingSize(Part):
    """What the standing container of a code location has."""

    cpu: int = 256
    memory: int = 1024

    @field_validator("cpu")
    @classmethod
    def _cpu_exists(cls, cpu: int) -> int:
        if cpu not in MEMORY_BY_CPU:
            choices = ", ".join(map(str, CPUS))
            raise refused(f"{choices} CPU units ({TASK_SIZE_URL})", nearest_number(cpu, CPUS))
        return cpu

    @field_validator("memory")
    @classmethod
    def _memory_fits_cpu(cls, memory: int, info: ValidationInfo) -> int:
        cpu = info.data.get("cpu")
        if cpu is not None and memory not in MEMORY_BY_CPU[cpu]:
            nearest = nearest_number(memory, MEMORY_BY_CPU[cpu])
            raise refused(f"{memory_text(cpu)} ({TASK_SIZE_URL})", nearest)
        return memory


class LargestSize(StandingSize):
    """The most that a run may ask for by its tags; without this key what Fargate has."""

    cpu: int = CPUS[-1]
    memory: int = MEMORY_BY_CPU[CPUS[-1]][-1]


class IsolatedSize(StandingSize):
    """What the task of an isolated run has, unless the run asks for something else."""

    cpu: int = 4096
    memory: int = 16384
    ephemeral_storage: int | None = None
    """GiB of disk; a task has 20 without asking."""
    spot: bool = False
    """Whether a run's first attempt is made on Fargate Spot. Later ones are on demand."""
    largest: LargestSize = LargestSize()

    @field_validator("ephemeral_storage")
    @classmethod
    def _storage_exists(cls, size: int | None) -> int | None:
        if size is not None and size not in EPHEMERAL_STORAGE:
            first, last = EPHEMERAL_STORAGE[0], EPHEMERAL_STORAGE[-1]
            nearest = nearest_number(size, EPHEMERAL_STORAGE)
            raise refused(f"{first} to {last} GiB; 20 without this key", nearest)
        return size

    @field_validator("largest")
    @classmethod
    def _no_smaller_than_the_size(cls, largest: LargestSize, info: ValidationInfo) -> LargestSize:
        cpu, memory = info.data.get("cpu", 0), info.data.get("memory", 0)
        if largest.cpu < cpu or largest.memory < memory:
            raise refused(
                f"no less than the task of every isolated run: cpu {cpu}, memory {memory}",
                f"cpu {cpu}, memory {memory}",
                value=f"cpu {largest.cpu}, memory {largest.memory}",
            )
        return largest


def _architecture(value: Any) -> Any:
    names = get_args(Architecture)
    if value not in names:
        nearest = _OTHER_NAMES.get(str(value).lower()) or nearest_text(str(value), names)
        raise refused(" or ".join(names), nearest)
    return value


class CodeLocation(Part):
    """One code location."""

    image: Annotated[Image, Field(description="the image that holds the code")]
    module: Module | None = None
    python_file: PythonFile | None = None
    package: Module | None = None
    autoload_defs_module: Module | None = None
    attribute: Attribute | None = None
    working_directory: ImageDirectory | None = None
    location_name: LocationName | None = None
    """Dagster's name of it, where that is not its key."""
    io: OwnBucketName | None = None
    """For its outputs, in place of the deployment's."""
    env: dict[EnvName, str] = Field(default_factory=dict)
    secrets: dict[EnvName, SecretArn] = Field(default_factory=dict)
    architecture: Annotated[Architecture, BeforeValidator(_architecture)] = "X86_64"
    standing: StandingSize = StandingSize()
    isolated: IsolatedSize = IsolatedSize()
    max_concurrent_non_isolated_runs: int | None = Field(
        # As `deploymentSettings` spells it.
        None,
        alias="max_concurrent_non_isolated_runs",
        ge=0,
        le=MOST_SLOTS,
    )
    """How many of its runs may share its standing container at once, within the deployment's
    limit; 0: none."""
    warm_start: bool = True
    """Whether non-isolated runs are forked from a process that has imported the code."""
    policy_arns: list[PolicyArn] = Field(default_factory=list)
    """Managed policies for the roles of both kinds of tasks."""

    @field_validator("autoload_defs_module")
    @classmethod
    def _one_target(cls, value: str | None, info: ValidationInfo) -> str | None:
        keys = ("module", "python_file", "package")
        given = [to_camel(key) for key in keys if info.data.get(key) is not None]
        given += ["autoloadDefsModule"] if value is not None else []
        broken = any(key not in info.data for key in keys)
        if len(given) > 1 or (not given and not broken):
            shown = " and ".join(given) or "none of them"
            allowed = "exactly one of module, pythonFile, package and autoloadDefsModule"
            raise refused(allowed, given[0] if given else "module", value=shown, of_parent=True)
        return value

    _levels = field_validator("env")(known_level)
    _once = field_validator("secrets")(only_once)

    @field_validator("policy_arns")
    @classmethod
    def _few_policies(cls, arns: list[str]) -> list[str]:
        # https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_iam-quotas.html
        if len(set(arns)) != len(arns) or len(arns) > 10:
            raise refused("up to 10 managed policies, each once", value=f"{len(arns)} ARNs")
        return arns

    @property
    def target(self) -> tuple[str, str]:
        """The code server's option that says where the definitions are, and its value."""
        targets = {
            "--module-name": self.module,
            "--python-file": self.python_file,
            "--package-name": self.package,
            "--autoload-defs-module-name": self.autoload_defs_module,
        }
        return next((option, value) for option, value in targets.items() if value is not None)
