"""Does the code server serve? A container's health check; its source goes into the task definition.

The standard library only, and little of it: at 0.25 vCPU an import of Dagster takes longer than any
health check may. So this is gRPC's health check (https://grpc.io/docs/guides/health-checking/) by
hand: a few frames of HTTP/2 (RFC 9113, 6), with headers that are not compressed (RFC 7541, 6.2.2).
A server whose threads are stuck would still greet whoever connects. 4001 is the control port, which
a server that has stepped aside for another one goes on serving.
"""

import json
import os
import socket

host, _, path = os.environ["ECS_CONTAINER_METADATA_URI_V4"].removeprefix("http://").partition("/")
name, _, port = host.partition(":")
with socket.create_connection((name, int(port or 80)), 5) as metadata:
    metadata.sendall(f"GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n".encode())
    response = b"".join(iter(lambda: metadata.recv(65536), b""))
networks = json.loads(response.partition(b"\r\n\r\n")[2])["Networks"]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """A frame of HTTP/2."""
    return len(payload).to_bytes(3, "big") + bytes([kind, flags, 0, 0, 0, stream]) + payload


def text(value: bytes) -> bytes:
    """A text with its length before it."""
    return bytes([len(value)]) + value


# Names by their places in HPACK's static table: POST, http, :path, :authority, content-type.
headers = b"\x83\x86\x04" + text(b"/grpc.health.v1.Health/Check") + b"\x01" + text(b"standing")
headers += b"\x0f\x10" + text(b"application/grpc") + b"\0" + text(b"te") + text(b"trailers")
service = b"\0\0\0\0\x0c\n" + text(b"DagsterApi")
serving = frame(0, 0, 1, b"\0\0\0\0\x02\x08\x01")
with socket.create_connection((networks[0]["IPv4Addresses"][0], 4001), 5) as server:
    server.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + frame(4, 0, 0))
    server.sendall(frame(1, 4, 1, headers) + frame(0, 1, 1, service))
    received = b""
    while serving not in received:
        chunk = server.recv(65536)
        if not chunk:
            raise SystemExit("The code server does not serve.")
        received += chunk
