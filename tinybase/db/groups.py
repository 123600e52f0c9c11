"""Units past SQLAlchemy; those of several threads are made durable together.

To get a transaction onto the disk takes longer than everything else about it. So when other
threads wait, one leaves its transaction open for the next, who adds to it, in a savepoint of
its own: what fails undoes nothing of the others. Who finds nobody waiting commits for all, and
only then any of them goes on, also the one who was refused: what it was refused for may be
what another has written. Nobody waits for others to come.
"""

from __future__ import annotations

import threading
from types import TracebackType

from sqlalchemy.exc import DBAPIError

from tinybase.db.faults import explain
from tinybase.db.queue import Open, WriteQueue
from tinybase.db.raw import RawConnections
from tinybase.db.units import RawWork, Runner

_MOST_UNITS = 16


class RawUnit:
    """One unit, as a context manager; see ``Database.write_raw``."""

    __slots__ = ("_group", "_is_alone", "_queue", "_raw", "_runner", "_work")

    def __init__(
        self, raw: RawConnections, queue: WriteQueue, runner: Runner, *, is_alone: bool
    ) -> None:
        self._raw = raw
        self._queue = queue
        self._runner = runner
        self._is_alone = is_alone

    def __enter__(self) -> RawWork:
        """Begin it when nobody else writes."""
        left_open = self._queue.enter()
        try:
            self._group = self._joined(left_open)
        except BaseException as error:
            self._queue.leave()
            explain(error)
            raise
        self._work = RawWork(self._raw, self._group.connection)
        return self._work

    def __exit__(self, _: object, error: BaseException | None, __: TracebackType | None) -> None:
        """Undo it after an error; else wait until it is durable, and do what was asked for."""
        if error is None:
            self._group.keep()
        else:
            self._group.undo(error)
        self._end()
        try:
            self._group.check()
        except DBAPIError as failure:
            explain(failure)
            raise
        if error is not None:
            explain(error)
        elif self._work.callbacks:
            self._runner(self._work.callbacks)

    def _joined(self, left_open: Open | None) -> Group:
        if isinstance(left_open, Group) and not self._is_alone and left_open.has_room:
            left_open.begin()
            return left_open
        if left_open is not None:
            left_open.end()
        return Group(self._raw)

    def _end(self) -> None:
        group, queue = self._group, self._queue
        if not group.is_over:
            if queue.is_awaited and not self._is_alone:
                ended = group.awaited()
                if queue.hand_over(group):
                    ended.acquire()
                    return
            group.commit()
        queue.leave()
        group.wake()


class Group:
    """A transaction that units are parts of, one after another."""

    __slots__ = ("_error", "_is_nested", "_raw", "_waiting", "connection", "is_over")

    def __init__(self, raw: RawConnections) -> None:
        self.connection = raw.begun()
        self.is_over = False
        self._raw = raw
        self._is_nested = False
        self._waiting: list[threading.Lock] = []
        self._error: BaseException | None = None

    @property
    def has_room(self) -> bool:
        """Say whether another unit may be a part of it."""
        return len(self._waiting) < _MOST_UNITS

    def begin(self) -> None:
        """Begin another unit.

        :raises DBAPIError: for what the driver raises; the group has ended then.
        """
        try:
            self.connection.execute("SAVEPOINT unit")
        except self._raw.error as error:
            self.end()
            raise self._raw.told(error, self.connection) from error
        self._is_nested = True

    def keep(self) -> None:
        """End the unit that is open."""
        if self._is_nested:
            self._say("RELEASE unit")

    def undo(self, error: BaseException) -> None:
        """Undo the unit that is open; what came before stays.

        :param error: what has ended it. Some faults make SQLite roll back everything.
        """
        if not self._is_nested:
            self._give_up()
        elif getattr(self.connection, "in_transaction", True):
            self._say("ROLLBACK TO unit", "RELEASE unit")
        else:
            self._give_up(error.orig if isinstance(error, DBAPIError) else error)

    def commit(self) -> None:
        """Make durable what the units wrote; :meth:`check` tells whether it is."""
        try:
            self.connection.commit()
        except BaseException as error:  # noqa: BLE001 - whoever waits is told
            self._give_up(error)
        else:
            self.is_over = True
            self._raw.give_back(self.connection)

    def end(self) -> None:
        """Commit for those who wait."""
        self.commit()
        self.wake()

    def awaited(self) -> threading.Lock:
        """Return what is let go of when it is over."""
        ended = threading.Lock()
        ended.acquire()
        self._waiting.append(ended)
        return ended

    def wake(self) -> None:
        """Have those who wait go on."""
        for ended in self._waiting:
            ended.release()

    def check(self) -> None:
        """Tell a unit whether its transaction was committed.

        :raises DBAPIError: for what the driver raised.
        """
        if isinstance(self._error, self._raw.error):
            raise self._raw.told(self._error, self.connection) from self._error
        if self._error is not None:
            raise self._error

    def _say(self, *words: str) -> None:
        try:
            for each in words:
                self.connection.execute(each)
        except self._raw.error as error:
            self._give_up(error)

    def _give_up(self, error: BaseException | None = None) -> None:
        self._error = error
        self.is_over = True
        self._raw.give_up(self.connection)
