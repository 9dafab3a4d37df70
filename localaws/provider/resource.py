"""What a resource type is made of: its table row and its handler."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from localaws.provider.aws import Aws
from localaws.provider.same_value import Same, exactly
from localaws.provider.wire import Props


class Handler:
    """Creates, reads, updates and deletes resources of one type through the AWS API.

    Subclasses declare the properties that they translate. Anything else is refused, so that nothing
    is accepted here which then does not happen.
    """

    required: ClassVar[tuple[str, ...]] = ()
    """Input properties without which there is no resource."""
    optional: ClassVar[tuple[str, ...]] = ()
    """Further input properties."""
    nested: ClassVar[Mapping[str, tuple[str, ...]]] = {}
    """The fields of each block of settings inside an input, by path: `dnsConfig.dnsRecords`."""
    defaults: ClassVar[Mapping[str, Any]] = {}
    """What the real provider fills in where an optional input is absent, by path."""
    outputs: ClassVar[tuple[str, ...]] = ()
    """Properties that AWS decides."""
    changing: ClassVar[tuple[str, ...]] = ()
    """Those of `outputs` that every update in place changes."""
    remembered: ClassVar[tuple[str, ...]] = ()
    """Inputs that the account does not give back: the state keeps what was asked for."""
    same: ClassVar[Mapping[str, Same]] = {}
    """How to compare a property where plain equality is too strict."""
    regional: ClassVar[bool] = True
    """Whether the type lives in a region; IAM's do not."""
    tagged: ClassVar[bool] = True
    """Whether the type has tags."""
    timeout: ClassVar[float] = 600
    """Seconds that an operation may wait, where the program sets no custom timeout."""

    def create(self, aws: Aws, inputs: Props) -> str:
        """Make the resource and return its id."""
        raise NotImplementedError

    def finish(self, aws: Aws, resource_id: str, inputs: Props) -> None:
        """Do what a create takes after its first call. May be repeated.

        When it fails, the resource stays in the state as not ready, and the next `up` tries again.
        """

    def read(self, aws: Aws, resource_id: str, state: Props) -> Props | None:
        """Everything known of the resource, or None when it is gone.

        Args:
            aws: The account.
            resource_id: The resource's id.
            state: What was last known: inputs just after a create, nothing at an import.
        """
        raise NotImplementedError

    def update(self, aws: Aws, resource_id: str, old: Props, new: Props, changed: set[str]) -> None:
        """Change the resource in place. `changed` holds neither tags nor what replaces it."""
        if changed - set(self.remembered):
            raise NotImplementedError(f"{sorted(changed)} can't be updated in place")

    def delete(self, aws: Aws, resource_id: str, state: Props) -> None:
        """Delete the resource. "Not found" errors may pass: they mean that it is done."""
        raise NotImplementedError

    def retag(self, aws: Aws, state: Props, removed: list[str], tags: Mapping[str, str]) -> None:
        """Remove the tags with these keys, then set these tags."""
        raise NotImplementedError


@dataclass(frozen=True)
class ResourceType:
    """One row of the table in `resource_types.py`.

    Args:
        token: Pulumi's name of the type.
        handler: How to make one.
        replaces: Input property whose change replaces the resource, and the source of that claim.
        name: The property that must be unique in the account. Where a replacement keeps it, the old
            resource has to go first, as in the real provider:
            https://github.com/pulumi/pulumi-terraform-bridge/blob/main/pkg/tfbridge/provider.go
            (nameRequiresDeleteBeforeReplace).
    """

    token: str
    handler: Handler
    replaces: Mapping[str, str] = field(default_factory=dict)
    name: str | None = None

    @property
    def inputs(self) -> tuple[str, ...]:
        """Every input property that the type accepts."""
        handler = self.handler
        common = ("region",) * handler.regional + ("tags",) * handler.tagged
        return (*handler.required, *handler.optional, *common)

    @property
    def outputs(self) -> tuple[str, ...]:
        """Every property that AWS decides."""
        return (*self.handler.outputs, *("tagsAll",) * self.handler.tagged)

    def same(self, name: str, old: Any, new: Any) -> bool:
        """Whether two values of the property mean the same."""
        return self.handler.same.get(name, exactly)(old, new)


def to_aws(names: Mapping[str, str], props: Props) -> dict[str, Any]:
    """Rename properties to the fields of an AWS request, leaving out what is not set."""
    return {field: props[name] for name, field in names.items() if props.get(name) is not None}


def from_aws(names: Mapping[str, str], answer: Mapping[str, Any]) -> Props:
    """Rename the fields of an AWS answer to properties, leaving out what is not set."""
    return {name: answer[field] for name, field in names.items() if answer.get(field) is not None}


def tag_list(tags: Mapping[str, str], key: str = "Key", value: str = "Value") -> list[Any]:
    """Tags as most AWS requests want them."""
    return [{key: name, value: content} for name, content in tags.items()]


def tag_map(tags: list[Any] | None, key: str = "Key", value: str = "Value") -> dict[str, str]:
    """Tags as Pulumi wants them. AWS's own are not the program's business."""
    found = {tag[key]: tag[value] for tag in tags or []}
    return {name: content for name, content in found.items() if not name.startswith("aws:")}
