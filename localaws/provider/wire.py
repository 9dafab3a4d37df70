"""Values on the wire: protobuf structs, values not known yet, and errors with details."""

from typing import Any, NoReturn

import grpc
from google.protobuf import any_pb2, json_format, struct_pb2
from google.rpc import status_pb2
from pulumi.runtime.proto import provider_pb2
from pulumi.runtime.rpc import UNKNOWN

Props = dict[str, Any]
"""Properties of one resource, as Pulumi names them (camelCase)."""


def decode(struct: struct_pb2.Struct) -> Props:
    """Turn a wire struct into plain values. Whole numbers become `int`."""
    props: Props = _whole_numbers(json_format.MessageToDict(struct))
    return props


def _whole_numbers(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _whole_numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_whole_numbers(inner) for inner in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value


def encode(props: Props) -> struct_pb2.Struct:
    """Turn plain values into a wire struct, leaving out what is `None`."""
    struct = struct_pb2.Struct()
    json_format.ParseDict({k: v for k, v in props.items() if v is not None}, struct)
    return struct


def is_unknown(value: Any) -> bool:
    """Whether the value, or anything inside it, is known only after another resource is made."""
    if isinstance(value, dict):
        return any(is_unknown(inner) for inner in value.values())
    if isinstance(value, list):
        return any(is_unknown(inner) for inner in value)
    return bool(value == UNKNOWN)


class InitFailedError(Exception):
    """The resource exists, but it did not become ready.

    The engine keeps it in the state, reports the reason and tries an update on the next `up`:
    https://pulumi-developer-docs.readthedocs.io/latest/docs/_generated/proto/provider.html
    """

    def __init__(self, reason: str, resource_id: str, inputs: Props, state: Props) -> None:
        super().__init__(reason)
        self.detail = provider_pb2.ErrorResourceInitFailed(
            id=resource_id, properties=encode(state), inputs=encode(inputs), reasons=[reason]
        )


def abort(context: grpc.ServicerContext, error: Exception) -> NoReturn:
    """End a gRPC call with the error's text, and its detail where it has one."""
    if isinstance(error, InitFailedError):
        detail = any_pb2.Any()
        # The engine looks the detail up by this exact prefix.
        detail.Pack(error.detail, type_url_prefix="type.googleapis.com/")
        status = status_pb2.Status(
            code=grpc.StatusCode.UNKNOWN.value[0], message=str(error), details=[detail]
        )
        # https://github.com/grpc/grpc/blob/master/src/python/grpcio_status/grpc_status/rpc_status.py
        context.set_trailing_metadata((("grpc-status-details-bin", status.SerializeToString()),))
    context.abort(grpc.StatusCode.UNKNOWN, str(error))
    raise AssertionError("abort always raises")
