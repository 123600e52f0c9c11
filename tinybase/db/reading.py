"""Reading past SQLAlchemy, where every microsecond counts.

A statement is compiled once, and run as text on a connection of the driver that is in no
transaction. What comes back is what the driver gives: none of the column types of
SQLAlchemy has a hand in it.
"""

from __future__ import annotations

from collections import deque, namedtuple
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Engine, Select, event

_MOST_FREE = 16
_MOST_KNOWN = 10_000

Rows = list[tuple[Any, ...]]
T = TypeVar("T")


class Statement:
    """A ``SELECT`` as one engine understands it."""

    def __init__(self, engine: Engine, select: Select[Any]) -> None:
        compiled = select.compile(dialect=engine.dialect)
        self.text = compiled.string
        self._order: Sequence[str] | None = compiled.positiontup
        self._written = {name: each for name, each in compiled.params.items() if each is not None}
        columns = select.selected_columns
        self._row = namedtuple("_row", [column.key for column in columns])  # type: ignore[misc]
        self._readers: list[Callable[[Any], Any] | None] = [
            column.type.dialect_impl(engine.dialect).result_processor(engine.dialect, None)
            for column in columns
        ]

    def bound(self, values: Mapping[str, Any]) -> Any:
        """Return parameters in the form that the driver takes."""
        if self._written:
            values = {**self._written, **values}
        if self._order is None:
            return values
        return tuple([values[name] for name in self._order])

    def typed(self, row: Sequence[Any]) -> Any:
        """Return a row as SQLAlchemy would: with names, and values of the columns' types."""
        pairs = zip(self._readers, row, strict=True)
        return self._row(*[value if reader is None else reader(value) for reader, value in pairs])


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
    """Runs statements on connections that it keeps for nothing else.

    :param fallback: runs a statement in the ordinary way. It is asked whenever a connection
        fails, be it because the database was restarted or because it is busy, so that a
        fault is met with what the engine knows, and told in its words.
    """

    def __init__(self, engine: Engine, fallback: Callable[[str, Any], Rows]) -> None:
        self._engine = engine
        self._fallback = fallback
        self._error = engine.dialect.loaded_dbapi.Error
        self._free: deque[Any] = deque()
        event.listen(engine, "engine_disposed", self._close)

    def statement(self, select: Select[Any]) -> Statement:
        """Compile a statement; what changes from run to run is a named ``bindparam``."""
        return Statement(self._engine, select)

    def rows(self, statement: Statement, values: Mapping[str, Any]) -> Rows:
        """Return the rows that a statement finds now."""
        parameters = statement.bound(values)
        try:
            connection = self._free.pop()
        except IndexError:
            connection = None
        try:
            if connection is None:
                connection = self._connect()
            # All rows at once: as long as one is left, SQLite keeps its view of the data.
            rows: Rows = connection.execute(statement.text, parameters).fetchall()
        except self._error:
            if connection is not None:
                connection.close()
            return self._fallback(statement.text, parameters)
        if len(self._free) < _MOST_FREE:
            self._free.append(connection)
        else:
            connection.close()
        return rows

    def one(self, statement: Statement, values: Mapping[str, Any]) -> tuple[Any, ...] | None:
        """Return the only row that a statement finds now, or ``None``."""
        rows = self.rows(statement, values)
        return rows[0] if rows else None

    def _connect(self) -> Any:
        """Take a new connection out of the engine, which has made it ready for use."""
        pooled = self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        if self._engine.dialect.name == "postgresql":
            connection.rollback()
            connection.autocommit = True
        return connection

    def _close(self, _: Engine) -> None:
        while self._free:
            self._free.pop().close()
