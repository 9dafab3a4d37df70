"""How a process asks another one to fork: one packet with descriptors, and a channel for answers.

Runs in: server and run, which ask; template and keeper, which are asked.

The packet goes over a SOCK_SEQPACKET socket pair, which several threads and processes may write to.
The channel is a socket pair of its own for each process that is asked for: its number, then how
it ended. Either end sees when the other one is gone.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_MAX_FDS: Final = 250
"""The kernel passes 253 at most (SCM_MAX_FD in include/net/scm.h)."""
_MAX_BYTES: Final = 4096
_SIZE: Final = array.array("i").itemsize


@dataclass(frozen=True)
class Request:
    """For a process."""

    channel: socket.socket
    payload: int
    """A descriptor of a file with the pickled process object."""
    cancel: int | None
    """A descriptor that is readable when the process is to end."""
    inherited: list[int]
    """What the pickled object refers to by index."""


def control_pair() -> tuple[socket.socket, socket.socket]:
    """Sockets for packets."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def send(
    control: socket.socket,
    channel: socket.socket,
    payload: int,
    cancel: int | None,
    inherited: Sequence[int],
) -> None:
    """Asks for a process.

    Raises:
        OSError: Nobody listens.
    """
    if len(inherited) > _MAX_FDS:
        raise OSError(f"{len(inherited)} descriptors are more than a process can be given at once.")
    message = json.dumps({"cancel": cancel is not None}).encode()
    fds = [channel.fileno(), payload, *([] if cancel is None else [cancel]), *inherited]
    socket.send_fds(control, [message], fds, socket.MSG_NOSIGNAL)


def receive(control: socket.socket) -> Request | None:
    """The next request; None when nobody is left who could ask."""
    message, ancillary, _, _ = control.recvmsg(_MAX_BYTES, socket.CMSG_SPACE(253 * _SIZE))
    if not message:
        return None
    fds = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % _SIZE])
    for fd in fds:
        os.set_inheritable(fd, False)
    channel, payload, *rest = fds
    cancel = rest.pop(0) if json.loads(message)["cancel"] else None
    return Request(socket.socket(fileno=channel), payload, cancel, rest)


def close(request: Request) -> None:
    """Closes this process's copies of what came with it."""
    request.channel.close()
    fds = [request.payload, *request.inherited]
    for fd in fds if request.cancel is None else [*fds, request.cancel]:
        os.close(fd)


def answer(channel: socket.socket, **what: Any) -> bool:
    """Says something about the process; whether anybody is there to hear it."""
    try:
        channel.sendall(json.dumps(what).encode() + b"\n")
    except OSError:
        return False
    return True
