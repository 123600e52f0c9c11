"""Units of work: the one way in which the services write."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from sqlalchemy import Connection, Delete, Engine, Insert, Select, Update

from tinybase.db.faults import explained
from tinybase.db.queue import WriteQueue
from tinybase.db.raw import RawConnections, Rows, Statement
from tinybase.db.reading import Reader

Callback = Callable[[], object]
Runner = Callable[[Sequence[Callback]], None]


def run_now(callbacks: Sequence[Callback]) -> None:
    """Run callbacks one after another, in the calling thread."""
    for callback in callbacks:
        callback()


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
    """One transaction that writes; ``connection`` executes its statements."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self.connection = connection


class RawWork(Unit):
    """One transaction that writes by statements that are compiled already."""

    def __init__(self, connections: RawConnections, connection: Any) -> None:
        super().__init__()
        self._connections = connections
        self._connection = connection

    def one(self, statement: Statement, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return the only row that a statement finds, or ``None``."""
        cursor = self._connections.run(self._connection, statement, values)
        row: tuple[Any, ...] | None = cursor.fetchone()
        # As long as it has a row left, SQLite may not commit.
        cursor.close()
        return row

    def change(self, statement: Statement, values: Mapping[str, Any]) -> int:
        """Execute a statement; return how many rows it changed."""
        changed: int = self._connections.run(self._connection, statement, values).rowcount
        return changed


class Joint:
    """Units of work that are one transaction, which begins with the first of them.

    ``work`` is ``None`` until then.
    """

    def __init__(
        self,
        stack: ExitStack,
        transaction: Callable[[], AbstractContextManager[Work]],
        begun: Callable[[Work], object],
    ) -> None:
        self.work: Work | None = None
        self._stack = stack
        self._transaction = transaction
        self._begun = begun

    @contextmanager
    def part(self) -> Iterator[Work]:
        """Open one unit of it; what an exception ends leaves nothing behind."""
        if self.work is None:
            self.work = self._stack.enter_context(self._transaction())
            self._begun(self.work)
        asked = len(self.work.callbacks)
        try:
            with self.work.connection.begin_nested():
                yield self.work
        except BaseException:
            del self.work.callbacks[asked:]
            raise


class Database:
    """The services' door to an engine.

    ``reader`` is the fast door, for statements that are run over and over; :meth:`write_raw`
    is the one for what they change.

    :param runner: runs what was asked for with ``Work.after_commit``. The application
        gives the host's dispatcher, which bounds how long a request waits for it.
    :param busy_seconds: how long a write waits for others on SQLite.
    """

    def __init__(
        self, engine: Engine, runner: Runner = run_now, *, busy_seconds: float = 10
    ) -> None:
        self.engine = engine
        self.raw = RawConnections(engine)
        self.reader = Reader(engine, self.raw, self._read_slowly)
        self._queue = WriteQueue.of(engine, busy_seconds)
        self._runner = runner
        self._local = threading.local()

    @contextmanager
    def write(self) -> Iterator[Work]:
        """Open a transaction that writes; commit it, or roll it back when the block raises.

        On SQLite it is the only one that writes from here on, so what it reads stays true.

        :raises Unavailable: as :meth:`connect`.
        """
        joint: Joint | None = getattr(self._local, "joint", None)
        with self._transaction() if joint is None else joint.part() as work:
            yield work

    @contextmanager
    def write_raw(self) -> Iterator[RawWork]:
        """Open a transaction as :meth:`write` does, past SQLAlchemy.

        :raises Unavailable: as :meth:`connect`.
        """
        joint: Joint | None = getattr(self._local, "joint", None)
        if joint is not None:
            with joint.part() as work:
                raw = RawWork(self.raw, work.connection.connection.driver_connection)
                raw.callbacks = work.callbacks
                yield raw
            return
        with explained(), self._queue.turn(), self.raw.transaction() as connection:
            raw = RawWork(self.raw, connection)
            yield raw
        if raw.callbacks:
            self._runner(raw.callbacks)

    def statement(self, statement: Select[Any] | Insert | Update | Delete) -> Statement:
        """Compile a statement; what changes from run to run is a named ``bindparam``."""
        return Statement(self.engine, statement)

    @contextmanager
    def together(self, begun: Callable[[Work], object]) -> Iterator[Joint]:
        """Make all that this thread writes in the block one transaction.

        It is committed with the end of the block, and rolled back when that raises.

        :param begun: is called once, when something is about to be written.
        """
        with ExitStack() as stack:
            joint = self._local.joint = Joint(stack, self._transaction, begun)
            try:
                yield joint
            finally:
                # What is called after the commit writes for itself.
                self._local.joint = None

    @contextmanager
    def _transaction(self) -> Iterator[Work]:
        with self._queue.turn(), self.connect() as connection:
            if self.engine.dialect.name == "sqlite":
                connection.exec_driver_sql("BEGIN IMMEDIATE")
            work = Work(connection)
            yield work
            connection.commit()
        if work.callbacks:
            self._runner(work.callbacks)

    def soon(self, callback: Callback) -> None:
        """Have something done that the caller need not wait for, or not for long.

        It must not raise: there is nobody to tell.
        """
        self._runner([callback])

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Open a connection to read from; whatever it has begun ends with the block.

        :raises Unavailable: when the database is gone or held by others, or has no room left.
        """
        with explained(), self.engine.connect() as connection:
            yield connection

    def _read_slowly(self, text: str, parameters: Any) -> Rows:
        with self.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(text, parameters)]
