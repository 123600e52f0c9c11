"""Transactions of authors' sessions, and how they are taken from who keeps them too long.

SQLite has one lock for all that write. A handler that writes and then does something else
holds it, and Python cannot end a thread: what can be ended from outside is its transaction.
It is rolled back, its connection is closed as soon as nobody uses it, and who had it is told
so when they go on.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import Any

from sqlalchemy import Connection, Engine, event

from tinybase.db.lending import is_clean, lend
from tinybase.errors import Conflict

_log = logging.getLogger(__name__)

_LOANS = "tinybase_loans"  # in the options of an engine
_LOAN = "tinybase_loan"  # in what a connection is remembered by while somebody has it


class Borrower:
    """Whoever has sessions for a while: one call of a handler, of a function or of a view."""

    __slots__ = ("refusal",)

    def __init__(self) -> None:
        self.refusal: str | None = None

    @property
    def name(self) -> str:
        """Return what it is called in a sentence."""
        return "This code"

    def give_up(self, why: str) -> None:
        """Take from it what it has open, and refuse its sessions from now on."""
        if self.refusal is None:
            self.refusal = (
                f"{self.name} can use its database session no more, because {why}. What it had "
                "not committed is rolled back. Commit before doing something that takes long."
            )

    def require(self) -> None:
        """Refuse what was given up.

        :raises Conflict: with the reason.
        """
        if self.refusal is not None:
            raise Conflict(self.refusal)


class NamedBorrower(Borrower):
    """One with a name of its own."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        super().__init__()
        self._name = name

    @property
    def name(self) -> str:
        """Return what it is called in a sentence."""
        return self._name


_borrower: ContextVar[Borrower | None] = ContextVar("tinybase_borrower", default=None)

begin_borrowing = _borrower.set
end_borrowing = _borrower.reset


@contextmanager
def borrowing(borrower: Borrower) -> Iterator[None]:
    """Have the sessions that are opened in the block belong to somebody."""
    token = _borrower.set(borrower)
    try:
        yield
    finally:
        _borrower.reset(token)


def current_borrower() -> Borrower:
    """Return whose the sessions are that are opened here."""
    return _borrower.get() or Borrower()


class Loan:
    """One transaction of one session."""

    def __init__(self, driver: Any, borrower: Borrower, *, holds_the_lock: bool) -> None:
        self.borrower = borrower
        self._driver = driver
        # On PostgreSQL it may only keep those waiting who write the same rows.
        self._may_hold_the_lock = holds_the_lock
        self._since: float | None = None
        self._lock = threading.Lock()
        self._is_over = False

    def settle(self) -> None:
        """Take nothing back from now on: it is about to be committed.

        :raises Conflict: when it was taken back already.
        """
        with self._lock:
            self.borrower.require()
            self._is_over = True

    def end(self) -> bool:
        """Note that the connection is returned; say whether nothing was taken back."""
        with self._lock:
            self._is_over = True
            return self.borrower.refusal is None

    def look(self, now: float, most: float) -> None:
        """Take it back if that is due; waits for nobody."""
        if not self._lock.acquire(blocking=False):
            return
        try:
            is_due = not self._is_over and self._is_open and self._is_due(now, most)
        finally:
            self._lock.release()
        if is_due:
            with suppress(Exception):
                self._interrupt()
            # In a thread of its own: it waits for the statement that is running.
            threading.Thread(target=self._take_back, name="tinybase-loan", daemon=True).start()

    @property
    def _is_open(self) -> bool:
        if self._may_hold_the_lock:
            return bool(self._driver.in_transaction)
        return bool(self._driver.info.transaction_status)

    def _is_due(self, now: float, most: float) -> bool:
        if self.borrower.refusal is not None:
            return True
        if not self._may_hold_the_lock:
            return False
        if self._since is None:
            self._since = now
        if now - self._since < most:
            return False
        self.borrower.give_up(f"it kept all others from writing for more than {most:g} s")
        _log.error("%s", self.borrower.refusal)
        return True

    def _interrupt(self) -> None:
        if self._may_hold_the_lock:
            self._driver.interrupt()
        else:
            self._driver.cancel()

    def _take_back(self) -> None:
        # Who returns the connection meanwhile waits, so that it is nobody else's yet.
        with self._lock:
            if not self._is_over:
                with suppress(Exception):
                    self._driver.rollback()


class Loans:
    """What authors have open of one engine.

    :param most_seconds: how long one of them may keep all others from writing.
    """

    def __init__(self, engine: Engine, most_seconds: float) -> None:
        self._most_seconds = most_seconds
        self._open: set[Loan] = set()
        self._is_sqlite = engine.dialect.name == "sqlite"
        self._is_disposed = False
        engine.update_execution_options(**{_LOANS: self})
        event.listen(engine, "checkin", self._returned)
        event.listen(engine, "engine_disposed", self._dispose)

    @classmethod
    def of(cls, connection: Connection) -> Loans | None:
        """Return those of the engine of a connection, if somebody looks after them."""
        found: Loans | None = connection.engine.get_execution_options().get(_LOANS)
        return found

    def begin(self, connection: Connection, borrower: Borrower) -> Loan | None:
        """Note that somebody's session has begun a transaction.

        :returns: what to settle before it is committed, unless it is a part of another one.
        """
        lend(connection)
        if connection.in_nested_transaction() or _LOAN in connection.info:
            return None  # it takes part in a transaction that others see to
        driver = connection.connection.driver_connection
        loan = Loan(driver, borrower, holds_the_lock=self._is_sqlite)
        connection.info[_LOAN] = loan
        self._open.add(loan)
        return loan

    def sweep(self) -> None:
        """Take back what is kept too long; to be called several times a second."""
        now = time.monotonic()
        for loan in list(self._open):
            loan.look(now, self._most_seconds)

    def is_held_by(self, borrower: Borrower) -> bool:
        """Say whether somebody has a transaction open."""
        return any(loan.borrower is borrower for loan in list(self._open))

    def _returned(self, _: Any, record: Any) -> None:
        loan: Loan | None = record.info.pop(_LOAN, None)
        is_usable = is_clean(record.info)
        if loan is not None:
            self._open.discard(loan)
            is_usable = loan.end() and is_usable
        if not is_usable or self._is_disposed:
            record.invalidate()

    def _dispose(self, _: Engine) -> None:
        # What is out now returns to a pool that the engine has left, and nobody closes.
        self._is_disposed = True


def interrupt(connection: Connection) -> None:
    """End the statement that another thread runs on a connection, if there is one."""
    with suppress(Exception):
        driver: Any = connection.connection.driver_connection
        if connection.dialect.name == "sqlite":
            driver.interrupt()
        else:
            driver.cancel()
