"""The flight recorder: what a process was running of its extensions when it died.

Each process keeps a small file in memory. Before code of an extension is imported or
called, the names of extension, hook and handler are written there, and taken out
afterwards. That needs no system call, and what is in the file outlives the process. A file
that nobody locks any more is what a dead process left.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

IMPORT = "import"
"""What is recorded instead of a hook while an extension is imported."""

FUNCTION = "function"
"""What is recorded instead of a hook while a function runs that clients call."""

_STARTING = frozenset({IMPORT, "tinybase_on_startup"})
_SLOTS = 128
_SIZE = 256
_HEAD = 2  # whether the slot is in use, and the number of the slot that caused it, from one


@dataclass(frozen=True)
class Suspect:
    """What a process was running when it died."""

    extension: str
    hook: str
    handler: str = ""

    @property
    def was_starting(self) -> bool:
        """Say whether it would happen again at the next start."""
        return self.hook in _STARTING

    def __str__(self) -> str:
        if self.hook == IMPORT:
            return f"the import of {self.extension}"
        if self.hook == FUNCTION:
            return f"the function {self.handler} of {self.extension}"
        return f"{self.handler} of {self.extension} ({self.hook.removeprefix('tinybase_')})"


class FlightRecorder:
    """The recorder of one process.

    :param folder: where the files of all processes of an instance are. Without a folder
        that can be written into nothing is recorded; the instance may be read-only.
    """

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._file: _File | None = None
        self._current: ContextVar[int] = ContextVar("tinybase_slot", default=0)

    @classmethod
    def of(cls, instance: Path) -> FlightRecorder:
        """Return a recorder beside those of the other processes of an instance."""
        return cls(instance / "extensions" / "running")

    @contextmanager
    def during(self, suspect: Suspect) -> Iterator[None]:
        """Record a suspect while the block runs."""
        mark = encode(suspect)
        slot = self.enter(mark)
        try:
            yield
        finally:
            self.leave(slot)

    def enter(self, mark: bytes) -> tuple[int, int] | None:
        """Record what :func:`encode` made; return what :meth:`leave` wants back.

        The caller that has to be fast uses this pair instead of the context manager.
        """
        file = self._file or self._open()
        if file is None or not file.free:
            return None
        try:
            slot = file.free.pop()
        except IndexError:
            return None
        before = self._current.get()
        start = (slot - 1) * _SIZE
        file.memory[start + 1] = before
        file.memory[start + _HEAD : start + _SIZE] = mark
        file.memory[start] = 1
        self._current.set(slot)
        return slot, before

    def leave(self, entered: tuple[int, int] | None) -> None:
        """Take out what was recorded."""
        file = self._file
        if entered is None or file is None:
            return
        slot, before = entered
        file.memory[(slot - 1) * _SIZE] = 0
        file.free.append(slot)
        self._current.set(before)

    def let_go(self, entered: tuple[int, int] | None) -> None:
        """Note that what caused a recorded call does not wait for its end any more.

        From now on either may be what ends the process.
        """
        file = self._file
        if entered is not None and file is not None:
            file.memory[(entered[0] - 1) * _SIZE + 1] = 0

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Have the other processes that would collect wait until the block has ended.

        Who starts meanwhile would find nothing any more, and not yet what comes of it.
        """
        with ExitStack() as stack:
            with suppress(OSError):  # there is nothing yet, or nothing can be locked here
                descriptor = os.open(self._folder or "", os.O_RDONLY | os.O_DIRECTORY)
                stack.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield

    def collect_dead(self) -> list[list[Suspect]]:
        """Return what each dead process was running, and forget it."""
        found = [_taken(path) for path in sorted(self._paths())]
        return [suspects for suspects in found if suspects]

    def suspects_of(self, pid: int) -> list[Suspect]:
        """Return what a dead process was running; it is not forgotten."""
        return [item for path in self._paths(pid) for item in _read(path)]

    def forget(self, pid: int) -> None:
        """Forget what a process was running that was told to end."""
        for path in self._paths(pid):
            path.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave nothing behind: this process ends as it should."""
        with self._lock:
            if self._file is not None:
                self._file.path.unlink(missing_ok=True)

    def _paths(self, pid: int | None = None) -> list[Path]:
        pattern = "[0-9]*" if pid is None else f"{pid}-*"
        return list(self._folder.glob(pattern)) if self._folder is not None else []

    def _open(self) -> _File | None:
        with self._lock:
            if self._file is None and self._folder is not None:
                try:
                    self._file = _File.create(self._folder)
                except OSError:
                    self._folder = None
            return self._file


class _File:
    """The file of this process, locked for as long as it lives."""

    def __init__(self, path: Path, descriptor: int, memory: mmap.mmap) -> None:
        self.path = path
        self.memory = memory
        self.free = list(range(_SLOTS, 0, -1))
        self._descriptor = descriptor

    @classmethod
    def create(cls, folder: Path) -> _File:
        folder.mkdir(parents=True, exist_ok=True)
        # The same number is soon given again where processes are few, as in a container.
        path = folder / f"{os.getpid()}-{uuid4().hex[:8]}"
        new = folder / f".{path.name}"
        descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        # Reserved, because memory that the disk has no room for ends the process.
        os.posix_fallocate(descriptor, 0, _SLOTS * _SIZE)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        # It is named only when it is locked, so nobody takes it for that of a dead process.
        new.rename(path)
        return cls(path, descriptor, mmap.mmap(descriptor, _SLOTS * _SIZE))


def encode(suspect: Suspect) -> bytes:
    """Return what is written for a suspect."""
    room = _SIZE - _HEAD
    text = "\0".join((suspect.extension, suspect.hook, suspect.handler)).encode()
    return text[: room - 1].ljust(room, b"\0")


def _decode(slot: bytes) -> Suspect:
    names = slot[_HEAD:].decode(errors="replace").split("\0")
    return Suspect(*names[:3])


def _read(path: Path) -> list[Suspect]:
    """Return what is recorded, without what only waited for something else recorded."""
    try:
        content = path.read_bytes()
    except OSError:
        return []
    slots = [content[start : start + _SIZE] for start in range(0, len(content), _SIZE)]
    used = [(number, slot) for number, slot in enumerate(slots, 1) if slot[0]]
    waiting = {slot[1] for _, slot in used}
    return [_decode(slot) for number, slot in used if number not in waiting]


def _taken(path: Path) -> list[Suspect]:
    """Return what a process left, if it is dead, and remove its file."""
    try:
        with path.open("r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            suspects = _read(path)
            path.unlink()
    except OSError:
        return []
    return suspects
