"""Units of work, and how others take part in one that is open."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine
from sqlalchemy.orm import Session

from tinybase.db.loans import interrupt
from tinybase.db.raw import RawConnections, Statement
from tinybase.errors import Conflict

Callback = Callable[[], object]
Runner = Callable[[Sequence[Callback]], None]


class Unit:
    """One transaction that writes, as far as it does not matter how."""

    def __init__(self) -> None:
        self.callbacks: list[Callback] = []

    def after_commit(self, callback: Callback) -> None:
        """Have something done once the transaction is durable, in the order of the calls.

        It is forgotten when the transaction is rolled back.
        """
        self.callbacks.append(callback)


class Work(Unit):
    """One transaction that writes; ``connection`` executes its statements.

    ``afterwards`` is done when it has ended, however it ends.
    """

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection
        self.afterwards: list[Callback] = []
        self._joint: Joint | None = None

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Let whatever is called in the block take part in the transaction.

        What it reads and writes, through services and sessions, it reads and writes here: it
        sees what is not committed yet, and what it writes is committed with the rest or not
        at all.
        """
        if self._joint is None:
            self._joint = Joint(self.connection.engine, lambda: self)
            self._joint.work = self
        with self._joint.entered():
            yield

    def belongs_to(self, joint: Joint) -> None:
        """Let others take part through a joint that is there already."""
        self._joint = joint

    def end(self) -> None:
        """Let nobody take part any more.

        A connection that somebody still uses is thrown away, so that nothing they do to it
        can reach the transaction of whoever would get it next.
        """
        if self._joint is not None and self._joint.close():
            # What they may be waiting for would keep us waiting, too.
            interrupt(self.connection)
            self.connection.rollback()
            self.connection.invalidate()


class RawWork(Unit):
    """One transaction that writes by statements that are compiled already.

    :param work: the same transaction as SQLAlchemy knows it, if others may take part.
    """

    def __init__(
        self, connections: RawConnections, connection: Any, work: Work | None = None
    ) -> None:
        super().__init__()
        self._connections = connections
        self._connection = connection
        self._work = work
        if work is not None:
            self.callbacks = work.callbacks

    @classmethod
    def of(cls, connections: RawConnections, work: Work) -> RawWork:
        """Return another door to a transaction."""
        return cls(connections, work.connection.connection.driver_connection, work)

    def one(self, statement: Statement, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return the only row that a statement finds, or ``None``."""
        try:
            # All rows at once: as long as one is left, SQLite may not commit.
            rows = self._connection.execute(statement.text, statement.bound(values)).fetchall()
        except self._connections.error as error:
            raise self._connections.told(error, self._connection) from error
        return rows[0] if rows else None

    def change(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Execute a statement; return how many rows it changed."""
        try:
            cursor = self._connection.execute(statement.text, statement.bound(values))
        except self._connections.error as error:
            raise self._connections.told(error, self._connection) from error
        changed: int = cursor.rowcount
        return changed

    @contextmanager
    def shared(self) -> Iterator[None]:
        """Let whatever is called in the block take part, see :meth:`Work.shared`."""
        with nullcontext() if self._work is None else self._work.shared():
            yield


class Joint:
    """A transaction that several take part in; it begins with the first who writes.

    It is found through the context, so a thread that works in a copy of it takes part too.

    :param begin: begins the transaction.
    """

    def __init__(self, engine: Engine, begin: Callable[[], Work]) -> None:
        self.engine = engine
        self._begin = begin
        self.outer: Joint | None = None
        self._lock = threading.Lock()
        self._is_over = False
        self._parts = 0
        self._sessions: weakref.WeakSet[Session] = weakref.WeakSet()
        self.work: Work | None = None

    @staticmethod
    def current(engine: Engine) -> Joint | None:
        """Return the one that who asks takes part in, of those on an engine."""
        joint = _joint.get()
        # The handler of one application may work with another one.
        while joint is not None and joint.engine is not engine:
            joint = joint.outer
        return joint

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Let whatever is called in the block take part."""
        self._require_open()
        if Joint.current(self.engine) is self:
            yield
            return
        self.outer = _joint.get()
        token = _joint.set(self)
        try:
            yield
        finally:
            _joint.reset(token)

    @contextmanager
    def part(self) -> Iterator[Work]:
        """Open one unit of it; what an exception ends leaves nothing behind.

        What the sessions that take part have so far is stored before, so that their rollback
        does not undo the unit as well.

        :raises Conflict: when the transaction is over, or a session is in a nested one.
        """
        with self._lock:
            self._require_open()
            self._parts += 1
        try:
            self._settle_sessions()
            if self.work is None:
                self.work = self._begin()
                self.work.belongs_to(self)
            asked = len(self.work.callbacks)
            try:
                with self.work.connection.begin_nested():
                    yield self.work
                    self._require_open()
            except BaseException:
                del self.work.callbacks[asked:]
                raise
        finally:
            self._parts -= 1

    def connection(self, session: Session | None = None) -> Connection | None:
        """Return what reads here; ``None`` as long as nothing was written.

        :param session: who will use it from now on.
        :raises Conflict: when the transaction is over.
        """
        with self._lock:
            self._require_open()
            if session is not None:
                self._sessions.add(session)
        return None if self.work is None else self.work.connection

    def close(self) -> bool:
        """Refuse from now on who still wants to take part; say whether somebody is at it."""
        with self._lock:
            self._is_over = True
            return self._parts > 0 or any(each.in_transaction() for each in self._sessions)

    def _settle_sessions(self) -> None:
        for session in list(self._sessions):
            if session.in_nested_transaction():
                raise Conflict(
                    "The session of this handler is in a nested transaction, which must end "
                    "before something else writes. Leave the block of begin_nested() first."
                )
            if session.in_transaction():
                session.commit()

    def _require_open(self) -> None:
        if self._is_over:
            raise Conflict(
                "The transaction that this handler took part in is over, so it can neither read "
                "nor write here any more. Do what takes long in a hook that is called after the "
                "commit, such as on_record_change."
            )


_joint: ContextVar[Joint | None] = ContextVar("tinybase_joint", default=None)
