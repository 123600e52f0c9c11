"""Connections that authors have had come back to the pool as they left it, or not at all.

A session gives its author a connection of the pool, and with it what changes more than data:
``PRAGMA``, ``SET``, ``ATTACH``, temporary triggers, functions of their own. Whoever gets the
connection next must not find any of it, so one that such a thing was done to is closed when
it is returned. What is looked at is the first word of each statement, which costs next to
nothing; what is not known to be harmless is not.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any, Self

from sqlalchemy import Connection

_IS_HARMLESS = re.compile(
    r"\s*(?:SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|VALUES|EXPLAIN|BEGIN|COMMIT|END"
    r"|ROLLBACK|SAVEPOINT|RELEASE)\b",
    re.IGNORECASE,
).match
_CHANGES_THE_SESSION = re.compile(
    r"set_config|pg_advisory|pg_try_advisory|\binto\s+temp", re.IGNORECASE
).search

_SHORTCUTS = ("execute", "executemany", "executescript")  # without a cursor of one's own
_WATCH = "tinybase_watch"  # in what a connection is remembered by while somebody has it


def lend(connection: Connection) -> None:
    """Watch what is done to a connection until it is returned."""
    info = connection.info
    if _WATCH not in info:
        driver = connection.connection.driver_connection
        if isinstance(driver, LendableConnection):
            info[_WATCH] = _SqliteWatch(driver)
        elif connection.dialect.name == "postgresql":
            info[_WATCH] = _PostgresqlWatch(driver)


def is_clean(info: dict[str, Any]) -> bool:
    """Watch a connection no more that is returned; say whether others may have it."""
    watch = info.pop(_WATCH, None)
    return watch is None or watch.end()


class LendableConnection(sqlite3.Connection):
    """A connection that notes what authors make of it; to all others it is like any."""

    has_changed = False


def _noting(name: str) -> Callable[..., Any]:
    original = getattr(sqlite3.Connection, name)

    def method(self: LendableConnection, *arguments: Any, **options: Any) -> Any:
        self.has_changed = True
        return original(self, *arguments, **options)

    return method


for _name in (
    "create_aggregate",
    "create_collation",
    "create_function",
    "create_window_function",
    "enable_load_extension",
    "set_authorizer",
    "set_progress_handler",
    "set_trace_callback",
    "setlimit",
):
    if hasattr(sqlite3.Connection, _name):
        setattr(LendableConnection, _name, _noting(_name))


class _SqliteCursor(sqlite3.Cursor):
    def execute(self, sql: str, *arguments: Any) -> Self:
        if not _IS_HARMLESS(sql):
            self.connection.has_changed = True  # type: ignore[attr-defined]
        super().execute(sql, *arguments)
        return self

    def executescript(self, sql: str) -> Self:
        self.connection.has_changed = True  # type: ignore[attr-defined]
        super().executescript(sql)
        return self


def _by_cursor(driver: sqlite3.Connection, name: str, *arguments: Any) -> Any:
    return getattr(driver.cursor(), name)(*arguments)


class _SqliteWatch:
    """Watches one of SQLite's; its attributes are found before the methods of the class."""

    def __init__(self, driver: LendableConnection) -> None:
        self._driver = driver
        self._before = _sqlite_state(driver)
        driver.has_changed = False
        attributes = vars(driver)
        attributes["cursor"] = partial(sqlite3.Connection.cursor, driver, _SqliteCursor)
        for name in _SHORTCUTS:
            attributes[name] = partial(_by_cursor, driver, name)

    def end(self) -> bool:
        for name in ("cursor", *_SHORTCUTS):
            vars(self._driver).pop(name, None)
        try:
            return not self._driver.has_changed and _sqlite_state(self._driver) == self._before
        except sqlite3.ProgrammingError:  # it was closed, and is of no use to anybody
            return False


class _PostgresqlWatch:
    """Watches one of PostgreSQL's."""

    def __init__(self, driver: Any) -> None:
        self._driver = driver
        self._factory = driver.cursor_factory
        self._before = _postgresql_state(driver)
        self.has_changed = False
        driver.cursor_factory = _postgresql_cursor(self._factory, self)

    def end(self) -> bool:
        self._driver.cursor_factory = self._factory
        return not self.has_changed and _postgresql_state(self._driver) == self._before


def _postgresql_cursor(factory: Any, watch: _PostgresqlWatch) -> Any:
    class Cursor(factory):  # type: ignore[misc]
        def execute(self, query: Any, *arguments: Any, **options: Any) -> Any:
            text = query if isinstance(query, str) else ""
            if not _IS_HARMLESS(text) or _CHANGES_THE_SESSION(text):
                watch.has_changed = True
            return super().execute(query, *arguments, **options)

    return Cursor


def _sqlite_state(driver: sqlite3.Connection) -> tuple[Any, ...]:
    return driver.isolation_level, driver.row_factory, driver.text_factory


def _postgresql_state(driver: Any) -> tuple[Any, ...]:
    return (
        driver.autocommit,
        driver.isolation_level,
        driver.read_only,
        driver.deferrable,
        driver.row_factory,
        driver.prepare_threshold,
    )
