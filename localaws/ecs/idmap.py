"""Mounts directories so that their owner is another user, then becomes a command that uses them.

Run as a script, as root: `idmap.py USER SOURCE TARGET [SOURCE TARGET ...] -- COMMAND ...`. What
belongs to root in SOURCE belongs to USER in TARGET, and what USER makes there belongs to root, in a
mount namespace of the command's own. So several containers with a kernel user each can share a
SQLite database, whose files can only be written to by their owner.
https://man7.org/linux/man-pages/man2/mount_setattr.2.html
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys

# From <linux/mount.h>, <linux/sched.h> and <linux/fcntl.h>; the numbers are those of all systems.
OPEN_TREE, MOVE_MOUNT, MOUNT_SETATTR = 428, 429, 442
OPEN_TREE_CLONE = 1
MOVE_MOUNT_F_EMPTY_PATH = 4
MOUNT_ATTR_IDMAP = 0x00100000
MS_REC, MS_PRIVATE = 0x4000, 1 << 18
CLONE_NEWNS, CLONE_NEWUSER = 0x00020000, 0x10000000
AT_FDCWD, AT_EMPTY_PATH = -100, 0x1000

_libc = ctypes.CDLL(None, use_errno=True)


class MountAttr(ctypes.Structure):
    """`struct mount_attr` of <linux/mount.h>."""

    _fields_ = [(name, ctypes.c_uint64) for name in ("set", "clear", "propagation", "userns")]


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def _namespace(user: int) -> int:
    """Return a descriptor of a user namespace in which root is `user`."""
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(writer, bytes([_libc.unshare(CLONE_NEWUSER) == 0]))
        signal.pause()
    try:
        if os.read(reader, 1) != b"\1":
            raise OSError("unshare: no user namespace can be made")
        for name in ("uid_map", "gid_map"):
            with open(f"/proc/{child}/{name}", "w") as file:
                file.write(f"0 {user} 1")
        return os.open(f"/proc/{child}/ns/user", os.O_RDONLY)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        os.close(reader)
        os.close(writer)


def mount(source: str, target: str, namespace: int) -> None:
    """Mount one directory."""
    tree = _checked(
        _libc.syscall(OPEN_TREE, AT_FDCWD, source.encode(), OPEN_TREE_CLONE | os.O_CLOEXEC), source
    )
    attr = MountAttr(set=MOUNT_ATTR_IDMAP, userns=namespace)
    size = ctypes.c_size_t(ctypes.sizeof(attr))
    _checked(
        _libc.syscall(MOUNT_SETATTR, tree, b"", AT_EMPTY_PATH, ctypes.byref(attr), size), source
    )
    os.makedirs(target, exist_ok=True)
    _checked(
        _libc.syscall(MOVE_MOUNT, tree, b"", AT_FDCWD, target.encode(), MOVE_MOUNT_F_EMPTY_PATH),
        target,
    )
    os.close(tree)


def main(words: list[str]) -> None:
    """Mount what `words` say, and become the command."""
    end = words.index("--")
    user, paths, command = int(words[0]), words[1:end], words[end + 1 :]
    namespace = _namespace(user)
    _checked(_libc.unshare(CLONE_NEWNS), "unshare")
    _checked(_libc.mount(None, b"/", None, MS_REC | MS_PRIVATE, None), "/")
    for source, target in zip(paths[::2], paths[1::2], strict=True):
        mount(source, target, namespace)
    os.close(namespace)
    os.execv(command[0], command)  # noqa: S606 - the command is the caller's


if __name__ == "__main__":
    main(sys.argv[1:])
