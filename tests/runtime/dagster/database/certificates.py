"""An authority of one's own, as RDS has them, and what it certifies."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID


def authority_and_server(host: str) -> tuple[bytes, dict[str, bytes]]:
    """The authority's certificate, and the files of a Postgres that is called so."""
    ca_key, key = generate_private_key(SECP256R1()), generate_private_key(SECP256R1())
    ca_name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority")])
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)

    def certificate(subject: x509.Name, whose: object) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(ca_name)
            .public_key(whose.public_key())  # type: ignore[attr-defined]
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=1))
            .not_valid_after(now + timedelta(days=1))
        )

    is_authority = x509.BasicConstraints(ca=True, path_length=None)
    ca = certificate(ca_name, ca_key).add_extension(is_authority, critical=True)
    called = x509.SubjectAlternativeName([x509.DNSName(host)])
    server = certificate(name, key).add_extension(called, critical=False)
    files = {
        "server.crt": server.sign(ca_key, SHA256()).public_bytes(Encoding.PEM),
        "server.key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    return ca.sign(ca_key, SHA256()).public_bytes(Encoding.PEM), files
