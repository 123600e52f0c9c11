"""A queue in front of the one lock that SQLite has for all that write.

SQLite lets a writer who finds the lock taken sleep, longer each time and at last a tenth of a
second, and whoever comes at the right moment passes it by. With several processes that is
what the slowest requests wait for. In the queue a writer looks again within half a
millisecond, and of each process only one looks.

It makes nothing safe: that is SQLite's own lock. So those who do not take part do no harm, nor
does a file system that cannot lock.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine

from tinybase.db.faults import busy

_FIRST_PAUSE = 50e-6
_LONGEST_PAUSE = 500e-6


class WriteQueue:
    """The queue of one database, for all threads of all processes on this machine.

    The kernel frees the place of a process that dies.

    :param file: what the processes lock; ``None`` where nobody has to wait.
    :param seconds: how long a writer waits.
    """

    def __init__(self, file: Path | None, seconds: float) -> None:
        self._file = file
        self._seconds = seconds
        self._begin_anew()

    @classmethod
    def of(cls, engine: Engine, seconds: float) -> WriteQueue:
        """Return the queue of a database; only SQLite's files need one."""
        name = engine.url.database
        if engine.dialect.name != "sqlite" or not name or name == ":memory:":
            return cls(None, seconds)
        return cls(Path(f"{name}-queue"), seconds)

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Wait until nobody else writes who takes part.

        :raises Unavailable: ``database_busy``, after the time.
        """
        if self._file is None:
            yield
            return
        if self._process != os.getpid():
            # With the descriptor of our parent we would have its place.
            self._begin_anew()
        deadline = time.monotonic() + self._seconds
        if not self._threads.acquire(timeout=self._seconds):
            raise busy()
        try:
            self._enter(deadline)
            try:
                yield
            finally:
                self._leave()
        finally:
            self._threads.release()

    def _begin_anew(self) -> None:
        self._process = os.getpid()
        self._threads = threading.Lock()
        self._descriptor: int | None = None

    def _enter(self, deadline: float) -> None:
        pause = _FIRST_PAUSE
        while not self._is_ours():
            if time.monotonic() > deadline:
                raise busy()
            time.sleep(pause)
            pause = min(pause * 2, _LONGEST_PAUSE)

    def _is_ours(self) -> bool:
        try:
            if self._descriptor is None and self._file is not None:
                self._descriptor = os.open(self._file, os.O_RDWR | os.O_CREAT, 0o600)
                weakref.finalize(self, os.close, self._descriptor)
            if self._descriptor is not None:
                fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            # Some network file systems have no such locks, and a folder may be read-only.
            return True
        return True

    def _leave(self) -> None:
        if self._descriptor is not None:
            try:
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            except OSError:
                return
