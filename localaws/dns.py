"""Names of Cloud Map's private DNS namespaces."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

from dnslib import QTYPE, RCODE, RR, A, DNSRecord
from dnslib.server import BaseResolver, DNSLogger, DNSServer
from moto.servicediscovery.models import servicediscovery_backends

from localaws.cloudmap import answered

#: A MULTIVALUE answer holds up to eight healthy instances:
#: https://docs.aws.amazon.com/cloud-map/latest/api/API_DnsConfig.html
MOST_ANSWERS = 8


class CloudMapResolver(BaseResolver):  # type: ignore[misc]
    """Answers A queries for `<service>.<namespace>`; any other name does not exist.

    Args:
        account_id: The account whose namespaces are answered for, in every region.
    """

    def __init__(self, account_id: str) -> None:
        self._account_id = account_id

    def resolve(self, request: DNSRecord, handler: object) -> DNSRecord:
        """Answer one query."""
        reply = request.reply()
        name = str(request.q.qname).rstrip(".").lower()
        addresses = list(self._addresses(name))
        if not addresses:
            # Cloud Map makes records for instances: a service without any has no name.
            reply.header.rcode = RCODE.NXDOMAIN
        elif request.q.qtype == QTYPE.A:
            random.shuffle(addresses)
            for address, ttl in addresses[:MOST_ANSWERS]:
                reply.add_answer(RR(request.q.qname, QTYPE.A, rdata=A(address), ttl=ttl))
        return reply

    def _addresses(self, name: str) -> Iterator[tuple[str, int]]:
        """Yield the address and TTL of each instance that a name stands for."""
        for service, namespace in self._services():
            if f"{service.name}.{namespace.name}".lower() != name:
                continue
            records = (service.dns_config or {}).get("DnsRecords") or []
            ttl = next((int(one["TTL"]) for one in records if one["Type"] == "A"), None)
            if ttl is None:
                continue
            for instance in answered(service):
                if address := instance.attributes.get("AWS_INSTANCE_IPV4"):
                    yield address, ttl

    def _services(self) -> Iterator[tuple[Any, Any]]:
        for backend in list(servicediscovery_backends[self._account_id].values()):
            for service in list(backend.services.values()):
                namespace = backend.namespaces.get(service.namespace_id)
                if namespace is not None and namespace.type == "DNS_PRIVATE":
                    yield service, namespace


class Dns:
    """The account's name server, on a free UDP port of 127.0.0.1."""

    def __init__(self, account_id: str) -> None:
        # Log nothing: "-" with every kind left out.
        self._server = DNSServer(
            CloudMapResolver(account_id),
            address="127.0.0.1",
            port=0,
            logger=DNSLogger(log="-request,-reply,-truncated,-error"),
        )

    @property
    def address(self) -> str:
        """Host and port."""
        host, port = self._server.server.server_address
        return f"{host}:{port}"

    def start(self) -> None:
        """Answer in a thread."""
        self._server.start_thread()

    def close(self) -> None:
        """Answer no longer."""
        self._server.stop()
        self._server.server.server_close()
