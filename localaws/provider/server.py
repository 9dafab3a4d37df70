"""The gRPC face of the provider, as Pulumi's engine sees it.

Protocol: https://pulumi-developer-docs.readthedocs.io/latest/docs/_generated/proto/provider.html
"""

# ruff: noqa: N802  (gRPC names its methods in capitals)

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import wraps
from importlib.metadata import version
from typing import Any, TypeVar

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from localaws.provider import invokes, lifecycle
from localaws.provider.aws import Account, Aws
from localaws.provider.resource import ResourceType
from localaws.provider.resource_types import type_of
from localaws.provider.wire import Props, abort, decode, encode

Answer = TypeVar("Answer")

_THREADS = 64
"""A call may wait for a service's tasks, so many may be open at once."""

_CONFIG = frozenset({"region", "version"})
"""Provider settings that mean something here; the engine adds `version` by itself."""


def serve(endpoint_url: str, environment: Mapping[str, str]) -> tuple[grpc.Server, int]:
    """Serve the provider on a free port of 127.0.0.1.

    Point an engine at it with `PULUMI_DEBUG_PROVIDERS=aws:<port>`. Several may use it at once.

    Args:
        endpoint_url: Where the AWS account answers.
        environment: The account's credentials, as environment variables.

    Returns:
        The running server and its port.
    """
    server = grpc.server(ThreadPoolExecutor(_THREADS, thread_name_prefix="provider"))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(
        Provider(Account(endpoint_url, environment)), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    return server, port


def _reported(call: Callable[..., Answer]) -> Callable[..., Answer]:
    """Turn an exception into a gRPC error whose text is for the user."""

    @wraps(call)
    def wrapper(self: "Provider", request: Any, context: grpc.ServicerContext) -> Answer:
        try:
            return call(self, request, context)
        except Exception as error:
            abort(context, error)

    return wrapper


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """Answers engines. All it knows of an engine is the region that the engine configured."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._regions: dict[str, str] = {}

    def _engine_region(self, context: grpc.ServicerContext) -> str:
        return self._regions[context.peer()]

    def _aws(self, context: Any, kind: ResourceType, props: Props, timeout: float = 0) -> Aws:
        region = props.get("region") or self._engine_region(context)
        return Aws(self._account, region, timeout or kind.handler.timeout)

    # The engine and this server

    def Handshake(self, request: Any, context: grpc.ServicerContext) -> Any:
        """What the provider can take: plain values, as in `Configure`."""
        return provider_pb2.ProviderHandshakeResponse(accept_secrets=False)

    def Attach(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """The engine's own address; the provider never calls back."""
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """One engine was interrupted. Its calls end with their connection; others go on."""
        return empty_pb2.Empty()

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> plugin_pb2.PluginInfo:
        """The version of the SDK whose provider this one stands in for."""
        return plugin_pb2.PluginInfo(version=version("pulumi-aws"))

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        """There is no schema: programs bring the SDK."""
        return provider_pb2.GetSchemaResponse(schema="{}")

    # Provider configuration

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Refuse settings that the server can't keep apart between engines."""
        failures = [
            provider_pb2.CheckFailure(property=name, reason=reason)
            for name, reason in _refused(decode(request.news)).items()
        ]
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Another region replaces resources one by one, not the provider."""
        same = request.olds == request.news
        changes = (
            provider_pb2.DiffResponse.DIFF_NONE if same else provider_pb2.DiffResponse.DIFF_SOME
        )
        return provider_pb2.DiffResponse(changes=changes)

    @_reported
    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Note the engine's region.

        As with the real provider, the engine keeps secrets to itself: it sends plain values and
        marks the outputs of secret inputs.
        """
        config = decode(request.args)
        if refused := _refused(config):
            raise ValueError(" ".join(refused.values()))
        if not config.get("region"):
            raise ValueError("Set the region: `pulumi config set aws:region us-east-1`.")
        self._regions[context.peer()] = config["region"]
        return provider_pb2.ConfigureResponse(acceptSecrets=False, supportsPreview=True)

    # Resources

    @_reported
    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Fill in defaults, refuse what is not implemented."""
        kind = _kind(request.urn)
        region = self._engine_region(context)
        inputs, problems = lifecycle.check(kind, decode(request.news), region)
        failures = [
            provider_pb2.CheckFailure(property=one.name, reason=one.reason) for one in problems
        ]
        return provider_pb2.CheckResponse(inputs=encode(inputs), failures=failures)

    @_reported
    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Compare what exists with what is wanted."""
        found = lifecycle.diff(
            _kind(request.urn),
            decode(request.olds),
            decode(request.old_inputs),
            decode(request.news),
            request.ignoreChanges,
        )
        return _diff_response(found)

    @_reported
    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Make a resource, or say what it would be."""
        kind, inputs = _kind(request.urn), decode(request.properties)
        if request.preview:
            state = lifecycle.preview(kind, {}, inputs)
            return provider_pb2.CreateResponse(properties=encode(state))
        aws = self._aws(context, kind, inputs, request.timeout)
        resource_id, state = lifecycle.create(kind, aws, inputs)
        return provider_pb2.CreateResponse(id=resource_id, properties=encode(state))

    @_reported
    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        """The state of a resource, for a refresh or an import. An empty id: it is gone."""
        kind, known = _kind(request.urn), decode(request.properties)
        aws = self._aws(context, kind, known)
        state = lifecycle.read(kind, aws, request.id, known)
        if state is None:
            return provider_pb2.ReadResponse()
        inputs = lifecycle.inputs_of(kind, state, decode(request.inputs))
        return provider_pb2.ReadResponse(
            id=state["id"], properties=encode(state), inputs=encode(inputs)
        )

    @_reported
    def Update(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Change a resource in place, or say what it would be."""
        kind, old, new = _kind(request.urn), decode(request.olds), decode(request.news)
        if request.preview:
            return provider_pb2.UpdateResponse(properties=encode(lifecycle.preview(kind, old, new)))
        aws = self._aws(context, kind, old, request.timeout)
        state = lifecycle.update(kind, aws, request.id, old, decode(request.old_inputs), new)
        return provider_pb2.UpdateResponse(properties=encode(state))

    @_reported
    def Delete(self, request: Any, context: grpc.ServicerContext) -> empty_pb2.Empty:
        """Delete a resource."""
        kind, state = _kind(request.urn), decode(request.properties)
        aws = self._aws(context, kind, state, request.timeout)
        lifecycle.delete(kind, aws, request.id, state)
        return empty_pb2.Empty()

    @_reported
    def Invoke(self, request: Any, context: grpc.ServicerContext) -> Any:
        """Answer a look-up."""
        aws = Aws(self._account, self._engine_region(context), timeout=0)
        answer = invokes.call(request.tok, aws, decode(request.args))
        return provider_pb2.InvokeResponse(**{"return": encode(answer)})


def _kind(urn: str) -> ResourceType:
    """The type of a resource. In a URN, the last of the types is its own.

    https://www.pulumi.com/docs/iac/concepts/resources/names/#urns
    """
    return type_of(urn.split("::")[2].split("$")[-1])


def _refused(config: Props) -> dict[str, str]:
    return {
        name: f"The local account's stand-in provider does not take the provider setting {name}: "
        f"stacks share it. Set only aws:region; set tags on resources."
        for name in sorted(set(config) - _CONFIG)
    }


def _diff_response(found: lifecycle.Diff) -> Any:
    kinds = provider_pb2.PropertyDiff
    detailed = {
        name: kinds(kind=kinds.UPDATE_REPLACE if replaces else kinds.UPDATE)
        for name, replaces in found.changed.items()
    }
    response = provider_pb2.DiffResponse
    return response(
        changes=response.DIFF_SOME if detailed else response.DIFF_NONE,
        diffs=list(detailed),
        replaces=[name for name, replaces in found.changed.items() if replaces],
        detailedDiff=detailed,
        hasDetailedDiff=True,
        deleteBeforeReplace=found.delete_first,
    )
