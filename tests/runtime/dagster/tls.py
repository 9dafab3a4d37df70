"""TLS in front of the local account, which itself speaks HTTP."""

from __future__ import annotations

import datetime
import ipaddress
import select
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

ADDRESS = "127.0.0.1"


@contextmanager
def tls_in_front_of(url: str, directory: Path) -> Iterator[dict[str, str]]:
    """Serves TLS; what the AWS SDK needs in its environment to use it.

    Args:
        url: Of who answers.
        directory: For the certificate.
    """
    bundle = _certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle)
    parts = urlsplit(url)
    assert parts.hostname is not None
    assert parts.port is not None
    with socket.create_server((ADDRESS, 0)) as listener:
        behind = (parts.hostname, parts.port)
        Thread(target=_serve, args=(listener, context, behind), daemon=True).start()
        port = listener.getsockname()[1]
        yield {"AWS_ENDPOINT_URL": f"https://{ADDRESS}:{port}", "AWS_CA_BUNDLE": str(bundle)}
        listener.shutdown(socket.SHUT_RDWR)  # or accept() would go on


def _serve(listener: socket.socket, context: ssl.SSLContext, behind: tuple[str, int]) -> None:
    with suppress(OSError):
        while True:
            accepted, _ = listener.accept()
            Thread(target=_connect, args=(accepted, context, behind), daemon=True).start()


def _connect(accepted: socket.socket, context: ssl.SSLContext, behind: tuple[str, int]) -> None:
    with (
        suppress(OSError),
        context.wrap_socket(accepted, server_side=True) as front,
        socket.create_connection(behind) as back,
    ):
        while True:
            # In one thread: two must not use one TLS connection.
            ready = [front] if front.pending() else select.select([front, back], [], [])[0]
            for source in ready:
                data = source.recv(65536)
                if not data:
                    return
                (back if source is front else front).sendall(data)


def _certificate(directory: Path) -> Path:
    """Key and certificate of ADDRESS, signed by itself, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, ADDRESS)])
    now = datetime.datetime.now(datetime.UTC)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(ADDRESS))])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(address, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = directory / "tls.pem"
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return path
