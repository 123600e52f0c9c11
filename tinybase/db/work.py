"""Units of work: the one way in which the services write."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

from sqlalchemy import Connection, Delete, Engine, Insert, Select, Update

from tinybase.db.faults import explained
from tinybase.db.groups import RawUnit
from tinybase.db.loans import Loans
from tinybase.db.queue import WriteQueue
from tinybase.db.raw import RawConnections, Rows, Statement
from tinybase.db.reading import Reader, Scanner
from tinybase.db.units import Callback, Joint, RawWork, Runner, Unit, Work

__all__ = ["Database", "Joint", "RawWork", "Runner", "Unit", "Work", "run_now"]


def run_now(callbacks: Sequence[Callback]) -> None:
    """Run callbacks one after another, in the calling thread."""
    for callback in callbacks:
        callback()


class Database:
    """The services' door to an engine.

    ``reader`` is the fast door, for statements that are run over and over, ``scanner`` the one
    for those of them that go through much of the database; :meth:`write_raw` is the one for
    what they change.

    :param runner: runs what was asked for with ``Work.after_commit``. The application
        gives the host's dispatcher, which bounds how long a request waits for it.
    :param aside: does what nobody waits for; the runner, if it is not given.
    :param busy_seconds: how long a write waits for others on SQLite.
    """

    def __init__(
        self,
        engine: Engine,
        runner: Runner = run_now,
        aside: Callable[[Callback], object] | None = None,
        *,
        busy_seconds: float = 10,
    ) -> None:
        self.engine = engine
        self.raw = RawConnections(engine)
        self.reader = Reader(engine, self.raw, self._read_slowly, self._joined_to)
        self.scanner = self.reader
        if engine.dialect.name == "sqlite":
            self.scanner = Scanner(engine, self._read_slowly, self._joined_to)
        # Half of it, so that who waits has a turn before the time is over.
        self.loans = Loans(engine, busy_seconds / 2)
        self._queue = WriteQueue.of(engine, busy_seconds)
        self._runner = runner
        self._aside = aside or (lambda callback: runner([callback]))

    @contextmanager
    def write(self) -> Iterator[Work]:
        """Open a transaction that writes; commit it, or roll it back when the block raises.

        On SQLite it is the only one that writes from here on, so what it reads stays true.
        Where others let us take part in theirs, it is a part of that instead.

        :raises Unavailable: as :meth:`connect`.
        """
        joint = Joint.current(self.engine)
        with self._transaction() if joint is None else joint.part() as work:
            yield work

    def write_raw(
        self, *, shared: bool = False, alone: bool = False
    ) -> AbstractContextManager[RawWork]:
        """Open a transaction as :meth:`write` does, past SQLAlchemy.

        Units of several threads may be committed together; it is as if each were alone.

        :param shared: others may take part in it, see ``RawWork.shared``; that is slower.
        :param alone: it may take long, so nobody shall have to wait for its end.
        :raises Unavailable: as :meth:`connect`.
        """
        if shared or Joint.current(self.engine) is not None:
            return self._write_shared()
        return RawUnit(self.raw, self._queue, self._runner, is_alone=alone)

    @contextmanager
    def _write_shared(self) -> Iterator[RawWork]:
        with self.write() as work:
            yield RawWork.of(self.raw, work)

    def statement(self, statement: Select[Any] | Insert | Update | Delete) -> Statement:
        """Compile a statement; what changes from run to run is a named ``bindparam``."""
        return Statement(self.engine, statement)

    @contextmanager
    def together(self, begun: Callable[[Work], object]) -> Iterator[Joint]:
        """Make all that is written in the block one transaction, whoever writes it.

        It is committed with the end of the block, and rolled back when that raises.

        :param begun: is called once, when something is about to be written.
        """
        with ExitStack() as stack:

            def begin() -> Work:
                work = stack.enter_context(self._transaction())
                begun(work)
                return work

            joint = Joint(self.engine, begin)
            # What is called after the commit writes for itself.
            with joint.entered():
                yield joint

    @contextmanager
    def _transaction(self) -> Iterator[Work]:
        work = None
        try:
            with self._queue.turn(), self._connect() as connection:
                if self.engine.dialect.name == "sqlite":
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                else:
                    connection.begin()
                work = Work(connection)
                try:
                    yield work
                    connection.commit()
                finally:
                    work.end()
        except BaseException:
            if work is not None and work.afterwards:
                self._runner(work.afterwards)
            raise
        if callbacks := work.callbacks + work.afterwards:
            self._runner(callbacks)

    def soon(self, callback: Callback) -> None:
        """Have something done that the caller need not wait for, or not for long.

        Where others let us take part in their transaction, it is done when that has ended,
        however it ends. It must not raise: there is nobody to tell.
        """
        self._afterwards(callback, self._aside)

    def tell(self, callback: Callback) -> None:
        """Have something told that no transaction takes back, and wait a bounded time.

        Where others let us take part in their transaction, it is told when that has ended,
        however it ends.
        """
        self._afterwards(callback, lambda alone: self._runner([alone]))

    def _afterwards(self, callback: Callback, at_once: Callable[[Callback], object]) -> None:
        joint = Joint.current(self.engine)
        if joint is None or joint.work is None:
            at_once(callback)
        else:
            joint.work.afterwards.append(callback)

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        """Open a connection to read from; whatever it has begun ends with the block.

        Where others let us take part in their transaction, it is theirs.

        :raises Unavailable: when the database is gone or held by others, or has no room left.
        """
        connection = self._joined_to()
        if connection is None:
            with self._connect() as connection:
                yield connection
        else:
            with explained():
                yield connection

    @contextmanager
    def _connect(self) -> Iterator[Connection]:
        with explained(), self.engine.connect() as connection:
            yield connection

    def _joined_to(self) -> Connection | None:
        joint = Joint.current(self.engine)
        return None if joint is None else joint.connection()

    def _read_slowly(self, text: str, parameters: Any) -> Rows:
        with self.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(text, parameters)]
