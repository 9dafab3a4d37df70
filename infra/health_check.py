"""Is the code server alive? A container's health check; its source goes into the task definition.

The standard library only, and little of it: at 0.25 vCPU an import of Dagster takes longer than any
health check may. An HTTP/2 server greets whoever connects with a SETTINGS frame (RFC 9113, 3.4 and
6.5); without that, a process that hangs would pass, as the kernel accepts connections for it. 4001
is the control port, which a server that has stepped aside for another one goes on serving.
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
with socket.create_connection((networks[0]["IPv4Addresses"][0], 4001), 5) as server:
    server.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0")
    raise SystemExit(server.recv(4)[3:] != b"\4")
