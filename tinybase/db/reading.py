"""Reading past SQLAlchemy, by single statements that are in no transaction."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Engine, Select

from tinybase.db.raw import RawConnections, Rows, Statement
from tinybase.lane import Lane

__all__ = ["Memory", "Reader", "Rows", "Scanner", "Statement"]

_MOST_KNOWN = 10_000
_SCANNER_CACHE_KIB = 64 * 1024
_LONGEST_WAIT_SECONDS = 1.0

T = TypeVar("T")


class Memory(Generic[T]):
    """What was made of rows, so that it is made again only for a row that has changed."""

    def __init__(self, make: Callable[[Sequence[Any]], T]) -> None:
        self._make = make
        self._known: dict[Hashable, tuple[Sequence[Any], T]] = {}

    def of(self, key: Hashable, row: Sequence[Any]) -> T:
        """Return what is made of a row.

        :param key: tells rows of different things apart, to find the one from before.
        """
        known = self._known.get(key)
        if known is not None and known[0] == row:
            return known[1]
        made = self._make(row)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key] = (row, made)
        return made


class Reader:
    """Runs statements on connections that are in no transaction.

    :param fallback: runs a statement in the ordinary way. It is asked whenever a connection
        fails, be it because the database was restarted or because it is busy, so that a
        fault is met with what the engine knows, and told in its words.
    :param joined_to: returns the connection of a transaction that whoever reads takes part
        in; the fallback reads from that.
    """

    def __init__(
        self,
        engine: Engine,
        connections: RawConnections,
        fallback: Callable[[str, Any], Rows],
        joined_to: Callable[[], Connection | None],
    ) -> None:
        self._engine = engine
        self._connections = connections
        self._fallback = fallback
        self._joined_to = joined_to

    def statement(self, select: Select[Any]) -> Statement:
        """Compile a statement; what changes from run to run is a named ``bindparam``."""
        return Statement(self._engine, select)

    def rows(self, statement: Statement, values: Mapping[str, Any]) -> Rows:
        """Return the rows that a statement finds now."""
        parameters = statement.bound(values)
        if self._joined_to() is not None:
            return self._fallback(statement.text, parameters)
        connection = self._connections.kept()
        try:
            if connection is None:
                connection = self._connections.new()
            # All rows at once: as long as one is left, SQLite keeps its view of the data.
            rows: Rows = connection.execute(statement.text, parameters).fetchall()
        except self._connections.error:
            if connection is not None:
                connection.close()
            return self._fallback(statement.text, parameters)
        self._connections.give_back(connection)
        return rows

    def one(self, statement: Statement, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return the only row that a statement finds now, or ``None``."""
        rows = self.rows(statement, values)
        return rows[0] if rows else None


class Scanner(Reader):
    """Runs statements that go through much of an SQLite database, one after another.

    Each takes all of a core, so at once they would not be done any sooner. They share a
    connection that keeps what it has read, which is most of what the next one needs.
    Nobody waits for long behind one that takes a second.
    """

    def __init__(
        self,
        engine: Engine,
        fallback: Callable[[str, Any], Rows],
        joined_to: Callable[[], Connection | None],
    ) -> None:
        setup = f"PRAGMA cache_size = -{_SCANNER_CACHE_KIB}"
        connections = RawConnections(engine, most_free=1, setup=setup)
        super().__init__(engine, connections, fallback, joined_to)
        self._lane = Lane(_LONGEST_WAIT_SECONDS)

    def rows(self, statement: Statement, values: Mapping[str, Any]) -> Rows:
        """Return the rows that a statement finds now."""
        # Whoever takes part in a transaction may hold the lock that others wait for.
        has_lane = self._joined_to() is None and self._lane.enter()
        try:
            return super().rows(statement, values)
        finally:
            if has_lane:
                self._lane.leave()
