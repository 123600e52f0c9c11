"""Watching the system calls of a process, with nothing but Linux itself.

A process that asks to be watched installs a filter; each of its system calls that changes a
disk then waits until the watcher lets it go on, makes it fail, or kills the process. Its
children are watched with it. Unlike with ptrace, the watcher needs no rights for that, and
threads and new processes need no care.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import select
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC

_CALLS = {
    "write": 1,
    "open": 2,
    "pwrite64": 18,
    "writev": 20,
    "sendfile": 40,
    "execve": 59,
    "flock": 73,
    "fsync": 74,
    "fdatasync": 75,
    "truncate": 76,
    "ftruncate": 77,
    "rename": 82,
    "mkdir": 83,
    "rmdir": 84,
    "creat": 85,
    "link": 86,
    "unlink": 87,
    "symlink": 88,
    "chmod": 90,
    "fchmod": 91,
    "exit_group": 231,
    "openat": 257,
    "mkdirat": 258,
    "unlinkat": 263,
    "renameat": 264,
    "linkat": 265,
    "symlinkat": 266,
    "fchmodat": 268,
    "utimensat": 280,
    "fallocate": 285,
    "pwritev": 296,
    "renameat2": 316,
    "copy_file_range": 326,
}
"""What is watched: every call by which these programs change a file system, and the begin
and end of programs. Opening only to read is let through unseen."""

_NAMES = {number: name for name, number in _CALLS.items()}
_FLAGS_OF = {"open": 1, "openat": 2}
_PATH_OF = {
    **dict.fromkeys(["open", "creat", "truncate", "mkdir", "rmdir", "unlink", "chmod"], (None, 0)),
    **dict.fromkeys(["openat", "mkdirat", "unlinkat", "fchmodat", "utimensat"], (0, 1)),
    **dict.fromkeys(["rename", "link", "symlink"], (None, 1)),
    **dict.fromkeys(["renameat", "renameat2", "linkat"], (2, 3)),
    "symlinkat": (1, 2),
    "execve": (None, 0),
}
"""Where the path is that a call changes: the argument with its folder, and its own."""

_BY_DESCRIPTOR = {
    *("write", "pwrite64", "writev", "pwritev", "sendfile", "flock", "fsync", "fdatasync"),
    *("ftruncate", "fchmod", "fallocate"),
}

_SECCOMP = 317
_SET_MODE_FILTER, _NEW_LISTENER = 1, 1 << 3
_NO_NEW_PRIVS = 38
_AUDIT_ARCH_X86_64 = 0xC000003E
_ALLOW, _NOTIFY = 0x7FFF0000, 0x7FC00000
_RECEIVE, _ANSWER = 0xC0502100, 0xC0182101
_CONTINUE = 1
_LOAD, _EQUALS, _ANY_OF, _RETURN = 0x20, 0x15, 0x45, 0x06
_NOTIFICATION = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_AT_FDCWD = -100
_PATIENCE_MS = 300_000


class Unsupported(Exception):
    """This machine cannot watch system calls; the text says why."""


@dataclass(frozen=True, slots=True)
class Call:
    """A system call that waits; ``thread`` is who makes it."""

    id: int
    thread: int
    name: str
    arguments: tuple[int, ...]

    def path(self) -> str:
        """Return the file that the call is about, as far as that can be told."""
        process = Path(f"/proc/{self.thread}")
        try:
            if self.name in _BY_DESCRIPTOR:
                return str((process / "fd" / str(self.arguments[0])).readlink())
            if self.name not in _PATH_OF:
                return ""
            folder, path = _PATH_OF[self.name]
            text = _text(process / "mem", self.arguments[path])
            descriptor = _AT_FDCWD if folder is None else _signed(self.arguments[folder])
            where = "cwd" if descriptor == _AT_FDCWD else f"fd/{descriptor}"
            return os.path.join((process / where).readlink(), text)
        except (OSError, ValueError):
            return ""

    def takes_space(self) -> bool:
        """Say whether the call fails when the disk is full."""
        path = self.path()
        if self.name in ("write", "pwrite64", "writev", "pwritev", "sendfile", "copy_file_range"):
            return Path(path).is_file()
        if self.name in ("open", "openat"):
            creates = self.arguments[_FLAGS_OF[self.name]] & os.O_CREAT
            return bool(creates) and not Path(path).exists()
        return self.name.startswith(("mkdir", "symlink", "link", "fallocate", "creat"))


class Watcher:
    """The watching end: the calls of one process and its descendants, one after another."""

    def __init__(self, listener: int) -> None:
        self._listener = listener

    def calls(self) -> Iterator[Call]:
        """Yield each call, which waits for an answer, until there is no process left."""
        poll = select.poll()
        poll.register(self._listener, select.POLLIN)
        while True:
            events = poll.poll(_PATIENCE_MS)
            if not events:
                raise TimeoutError("a watched process neither makes a call nor ends")
            for _, event in events:
                if event & select.POLLIN:
                    call = self._receive()
                    if call is not None:
                        yield call
                elif event & (select.POLLHUP | select.POLLERR):
                    return

    def let_go_on(self, call: Call) -> None:
        """Let the call happen."""
        self._answer(_RESPONSE.pack(call.id, 0, 0, _CONTINUE))

    def fail(self, call: Call, error: int) -> None:
        """Make the call fail without its happening."""
        self._answer(_RESPONSE.pack(call.id, 0, -error, 0))

    def close(self) -> None:
        """Stop watching; a process that is still there can make no watched call any more."""
        os.close(self._listener)

    def _receive(self) -> Call | None:
        buffer = bytearray(_NOTIFICATION.size)
        try:
            fcntl.ioctl(self._listener, _RECEIVE, buffer)
        except OSError as error:
            if error.errno in (errno.ENOENT, errno.EINTR):  # it was killed meanwhile
                return None
            raise
        number, thread, _, call, _, _, *arguments = _NOTIFICATION.unpack(buffer)
        return Call(number, thread, _NAMES[call], tuple(arguments))

    def _answer(self, response: bytes) -> None:
        try:
            fcntl.ioctl(self._listener, _ANSWER, response)
        except OSError as error:
            if error.errno == errno.EINVAL:
                raise Unsupported(
                    "the kernel cannot let a watched call go on: it takes 5.5"
                ) from error
            if error.errno != errno.ENOENT:  # it was killed, or its call was interrupted
                raise


def be_watched() -> int:
    """Have this process and its descendants watched; return what a watcher needs.

    :raises Unsupported: where that cannot be.
    """
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        raise Unsupported("system calls are watched on Linux on x86-64 only")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_NO_NEW_PRIVS, 1, 0, 0, 0)
    code = _filter()
    buffer = ctypes.create_string_buffer(code)
    program = struct.pack("@HP", len(code) // 8, ctypes.addressof(buffer))
    listener: int = libc.syscall(
        ctypes.c_long(_SECCOMP),
        ctypes.c_ulong(_SET_MODE_FILTER),
        ctypes.c_ulong(_NEW_LISTENER),
        ctypes.c_char_p(program),
    )
    if listener < 0:
        reason = os.strerror(ctypes.get_errno())
        raise Unsupported(f"the kernel does not let system calls be watched: {reason}")
    return listener


def _filter() -> bytes:
    """Return the program that picks the calls: see the kernel's seccomp_filter."""
    lines = [(_LOAD, 0, 0, 4), (_EQUALS, 1, 0, _AUDIT_ARCH_X86_64), (_RETURN, 0, 0, _ALLOW)]
    lines.append((_LOAD, 0, 0, 0))
    for name, number in _CALLS.items():
        if name in _FLAGS_OF:
            # From the flags there is no way back to the number: decide here.
            lines += [
                (_EQUALS, 0, 4, number),
                (_LOAD, 0, 0, 16 + 8 * _FLAGS_OF[name]),
                (_ANY_OF, 0, 1, _WRITING),
                (_RETURN, 0, 0, _NOTIFY),
                (_RETURN, 0, 0, _ALLOW),
            ]
        else:
            lines += [(_EQUALS, 0, 1, number), (_RETURN, 0, 0, _NOTIFY)]
    lines.append((_RETURN, 0, 0, _ALLOW))
    return b"".join(struct.pack("=HBBI", *line) for line in lines)


def _text(memory: Path, address: int) -> str:
    with memory.open("rb", buffering=0) as file:
        file.seek(address)
        text = b""
        # Page by page: the one after the end may not be there.
        while b"\0" not in text:
            text += file.read(4096 - (address + len(text)) % 4096)
        return os.fsdecode(text.split(b"\0")[0])


def _signed(value: int) -> int:
    return ctypes.c_int(value & 0xFFFFFFFF).value
