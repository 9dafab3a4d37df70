"""How a process asks another one to fork: one packet with descriptors, and a channel for answers.

Runs in: server and run, which ask; template and keeper, which are asked.

The packet goes over a SOCK_SEQPACKET socket pair, which several threads and processes may write to.
The channel is a socket pair of its own for each process that is asked for: its number, then how
it ended. Either end sees when the other one is gone.

A process that was forked waits for one byte more, in a pipe of its own, which whoever asked for it
writes when it has heard the process's number. Until then it may give the process up, and be sure
that it does nothing.
"""

from __future__ import annotations

import array
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

GO: Final = b"g"
NO_GO: Final = b"n"
"""What a forked process hears. The end of the pipe is the same as NO_GO, but comes only when nobody
has the other end any more, such as a process that user code has forked."""

_MAX_FDS: Final = 249
"""The kernel passes 253 at most (SCM_MAX_FD in include/net/scm.h)."""
_MAX_BYTES: Final = 4096
_SIZE: Final = array.array("i").itemsize


@dataclass(frozen=True)
class Request:
    """For a process."""

    channel: socket.socket
    payload: int
    """A descriptor of a file with the pickled process object."""
    go: int
    """A descriptor of the pipe in which the process hears GO, or NO_GO."""
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
    go: int,
    cancel: int | None,
    inherited: Sequence[int],
) -> None:
    """Asks for a process, and waits for nothing.

    Raises:
        OSError: Nobody is asked: nobody listens, or whoever does has too much to read.
    """
    if len(inherited) > _MAX_FDS:
        raise OSError(f"{len(inherited)} descriptors are more than a process can be given at once.")
    fds = [channel.fileno(), payload, go, *([] if cancel is None else [cancel]), *inherited]
    message = json.dumps({"cancel": cancel is not None, "descriptors": len(fds)}).encode()
    socket.send_fds(control, [message], fds, socket.MSG_NOSIGNAL | socket.MSG_DONTWAIT)


def receive(control: socket.socket) -> Request | None:
    """The next request; None when nobody is left who could ask.

    Raises:
        OSError: It can't be read: this process has no room for its descriptors, which are closed.
    """
    message, ancillary, _, _ = control.recvmsg(_MAX_BYTES, socket.CMSG_SPACE(253 * _SIZE))
    if not message:
        return None
    fds = array.array("i")
    for level, kind, content in ancillary:
        if (level, kind) == (socket.SOL_SOCKET, socket.SCM_RIGHTS):
            fds.frombytes(content[: len(content) - len(content) % _SIZE])
    asked = json.loads(message)
    if len(fds) < asked["descriptors"]:
        for fd in fds:
            os.close(fd)
        raise OSError(
            f"Of {asked['descriptors']} descriptors of a request {len(fds)} came through."
        )
    for fd in fds:
        os.set_inheritable(fd, False)
    channel, payload, go, *rest = fds
    cancel = rest.pop(0) if asked["cancel"] else None
    return Request(socket.socket(fileno=channel), payload, go, cancel, rest)


def wait_for_go(request: Request) -> None:
    """Ends this process where whoever asked for it has given it up, or is gone.

    Whatever can be done without touching the run is done before.
    """
    heard = os.read(request.go, 1)
    os.close(request.go)
    if heard != GO:
        os._exit(0)


def close(request: Request) -> None:
    """Closes this process's copies of what came with it."""
    request.channel.close()
    fds = [request.payload, request.go, *request.inherited]
    for fd in fds if request.cancel is None else [*fds, request.cancel]:
        os.close(fd)


def answer(channel: socket.socket, **what: Any) -> bool:
    """Says something about the process; whether anybody is there to hear it."""
    try:
        channel.sendall(json.dumps(what).encode() + b"\n")
    except OSError:
        return False
    return True
