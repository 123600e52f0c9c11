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
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

from sqlalchemy import Engine

from tinybase.db.faults import busy

_FIRST_PAUSE = 50e-6
_LONGEST_PAUSE = 500e-6


class Open(Protocol):
    """What a writer leaves open for the next one, who either goes on with it or ends it."""

    def end(self) -> None:
        """End it; must not raise."""


class _Turn:
    """One thread that waits for its turn."""

    __slots__ = ("given", "left_open")

    def __init__(self) -> None:
        self.left_open: Open | None = None
        self.given = threading.Lock()
        self.given.acquire()


class WriteQueue:
    """The queue of one database, for all threads of all processes on this machine.

    The kernel frees the place of a process that dies. Within a process the turn goes from
    hand to hand in the order in which the threads came, and what one has left open with it.

    :param file: what the processes lock; ``None`` where nobody has to wait.
    :param seconds: how long a writer waits.
    """

    def __init__(self, file: Path | None, seconds: float) -> None:
        self._file = file
        self._seconds = seconds
        self._process = 0
        self._is_taken = False
        self._descriptor: int | None = None
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
        left_open = self.enter()
        if left_open is not None:
            left_open.end()
        try:
            yield
        finally:
            self.leave()

    def enter(self) -> Open | None:
        """Wait as :meth:`turn` does, until :meth:`leave`; return what was left open, if anything.

        :raises Unavailable: ``database_busy``, after the time.
        """
        if self._file is None:
            return None
        if self._process != os.getpid():
            # With the descriptor of our parent we would have its place.
            self._begin_anew()
        mine = None
        with self._mutex:
            if self._is_taken:
                mine = _Turn()
                self._waiting.append(mine)
            self._is_taken = True
        deadline = time.monotonic() + self._seconds
        if mine is not None:
            self._await(mine)
            if mine.left_open is not None:
                return mine.left_open
        try:
            self._lock(deadline)
        except BaseException:
            self._next()
            raise
        return None

    @property
    def is_awaited(self) -> bool:
        """Say whether another thread of this process waits at the moment."""
        return bool(self._waiting)

    def hand_over(self, left_open: Open) -> bool:
        """Leave something open for the next thread of this process, if one waits; say whether."""
        with self._mutex:
            if not self._waiting:
                return False
            turn = self._waiting.popleft()
        turn.left_open = left_open
        turn.given.release()
        return True

    def leave(self) -> None:
        """Let others write."""
        if self._file is None:
            return
        if self._descriptor is not None:
            with suppress(OSError):
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        self._next()

    def _begin_anew(self) -> None:
        self._process = os.getpid()
        self._mutex = threading.Lock()
        self._waiting: deque[_Turn] = deque()
        self._is_taken = False
        self._descriptor = None

    def _await(self, mine: _Turn) -> None:
        if mine.given.acquire(timeout=self._seconds):
            return
        with self._mutex:
            if mine in self._waiting:
                self._waiting.remove(mine)
                raise busy()
        # It is given to us at this moment, and nobody else would have it.
        mine.given.acquire()

    def _next(self) -> None:
        with self._mutex:
            if self._waiting:
                self._waiting.popleft().given.release()
            else:
                self._is_taken = False

    def _lock(self, deadline: float) -> None:
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
