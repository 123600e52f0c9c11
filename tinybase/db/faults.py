"""What the faults of a database mean for the one who asked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from tinybase.errors import Fault, Invalid, TinyBaseError, Unavailable

_IN_A_SECOND = {"Retry-After": "1"}

_BUSY_STATES = frozenset(
    {
        "40001",  # serialization_failure
        "40P01",  # deadlock_detected: rolled back as a whole, so it may be asked again
        "53200",  # out_of_memory
        "53300",  # too_many_connections
        "53400",  # configuration_limit_exceeded
        "55P03",  # lock_not_available
        "57014",  # query_canceled, by a time limit of the server
    }
)
_FULL_STATES = frozenset({"53100"})  # disk_full
_GONE_STATES = frozenset(
    {
        "08000",  # connection_exception
        "08003",  # connection_does_not_exist
        "08006",  # connection_failure
        "25006",  # read_only_sql_transaction: this server is a standby now
        "57P01",  # admin_shutdown
        "57P02",  # crash_shutdown
        "57P03",  # cannot_connect_now: it starts, or stops
        "57P05",  # idle_session_timeout
    }
)
_SQLITE = object()  # its driver knows no states
# The second is said when a process that is stopped holds the locks of the WAL's index.
_HELD_BY_OTHERS = ("locked", "locking protocol")
_OF_A_FAILING_DISK = ("disk I/O error", "unable to open database file", "readonly database")
_TOO_LONG_STATE = "54000"  # program_limit_exceeded: a row of an index has 2,704 bytes
_TOO_LONG = Fault(
    ("body", "data"),
    "The text of a field that is indexed or unique is too long; PostgreSQL takes 2,000 bytes.",
    "too_long",
)


@contextmanager
def explained() -> Iterator[None]:
    """Raise what a database foresees as what it means; anything else stays as it is.

    :raises Unavailable: when the database is gone or held by others, or has no room left.
    :raises Invalid: when a text does not fit into an index.
    """
    try:
        yield
    except SQLAlchemyError as error:
        explain(error)
        raise


def explain(error: BaseException) -> None:
    """Raise what an error of a database means, as :func:`explained` does, if it is foreseen."""
    if isinstance(error, SQLAlchemyError) and (foreseen := _meaning(error)):
        raise foreseen from error


def _meaning(error: SQLAlchemyError) -> TinyBaseError | None:
    if isinstance(error, PoolTimeout):
        return busy()
    if not isinstance(error, DBAPIError):
        return None
    state = getattr(error.orig, "sqlstate", _SQLITE)
    if state is not _SQLITE:
        return _of_postgresql(error, state)
    return _of_sqlite(str(error.orig)) if isinstance(error, OperationalError) else None


def _of_sqlite(text: str) -> Unavailable | None:
    if _is_held_by_others(text):
        return busy()
    if "disk is full" in text:
        return _full()
    return _failing(text) if any(each in text for each in _OF_A_FAILING_DISK) else None


def _of_postgresql(error: DBAPIError, state: object) -> TinyBaseError | None:
    if state in _BUSY_STATES:
        return busy()
    if state in _FULL_STATES:
        return _full()
    if state == _TOO_LONG_STATE:
        return Invalid([_TOO_LONG], code="record_invalid")
    # Without a connection there is nobody to name a state.
    is_gone = error.connection_invalidated or (
        state is None and isinstance(error, OperationalError)
    )
    if is_gone or state in _GONE_STATES:
        return Unavailable("The database cannot be reached; try again.", headers=_IN_A_SECOND)
    return None


def _failing(what: str) -> Unavailable:
    return Unavailable(
        f"The disk under the database fails: {what}. The operator has to see to it.",
        headers=_IN_A_SECOND,
    )


def _full() -> Unavailable:
    return Unavailable(
        "There is no room left to store this. The operator has to free some disk space.",
        code="insufficient_storage",
    )


def is_held_by_others(error: DBAPIError) -> bool:
    """Say whether SQLite could not be used because others use it."""
    return _is_held_by_others(str(error.orig))


def _is_held_by_others(text: str) -> bool:
    return any(each in text for each in _HELD_BY_OTHERS)


def busy() -> Unavailable:
    """Return the error for a write whose turn did not come."""
    return Unavailable(
        "The database is busy; try again.", code="database_busy", headers=_IN_A_SECOND
    )
