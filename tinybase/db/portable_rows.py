"""Rows in a form that is the same in every kind of database: what they are copied in."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    Connection,
    Row,
    String,
    Table,
    Text,
    cast,
    func,
    literal,
    select,
    tuple_,
    type_coerce,
)

from tinybase.db.types import Guid, Instant
from tinybase.errors import Conflict, Unavailable, one_line

Rows = Sequence[Row[Any]]

_BATCH = 1_000
_TIME = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


class Digest:
    """How many rows there were, in the order of their keys, and the SHA-256 of all of them."""

    def __init__(self) -> None:
        self.rows = 0
        self.last: tuple[Any, ...] | None = None
        self._hash = hashlib.sha256()

    def add(self, table: Table, rows: Rows) -> None:
        """Take further rows in."""
        self.rows += len(rows)
        places = [table.columns.keys().index(key.name) for key in table.primary_key.columns]
        self.last = tuple(rows[-1][place] for place in places)
        # Its spelling tells apart whatever a column may hold: 1, True, '1' and None.
        self._hash.update("".join(map(repr, rows)).encode("utf-8", "surrogatepass"))

    def hexdigest(self) -> str:
        """Return the SHA-256 of what was taken in."""
        return self._hash.hexdigest()

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Digest):
            return NotImplemented
        return (self.rows, self.hexdigest()) == (other.rows, other.hexdigest())

    __hash__ = None  # type: ignore[assignment]


def batches(
    connection: Connection,
    table: Table,
    *,
    after: tuple[Any, ...] | None = None,
    until: tuple[Any, ...] | None = None,
) -> Iterator[Rows]:
    """Yield the rows of a table in the order of its key, some at a time."""
    dialect = connection.dialect.name
    keys = [_ordered(column, dialect) for column in table.primary_key.columns]
    query = select(*(_portable(column, dialect) for column in table.columns)).order_by(*keys)
    if after is not None:
        query = query.where(tuple_(*keys) > _bound(table, after))
    if until is not None:
        query = query.where(tuple_(*keys) <= _bound(table, until))
    with connection.execute(query.execution_options(yield_per=_BATCH)) as result:
        yield from result.partitions()


def append(connection: Connection, table: Table, rows: Rows) -> None:
    """Write rows, in a transaction of their own.

    :raises Conflict: when a row does not fit; the message names the first.
    """
    write = _copy_in if connection.dialect.name == "postgresql" else _insert
    database = connection.dialect.loaded_dbapi
    try:
        write(connection, table, rows)
    except (database.DataError, database.IntegrityError, UnicodeError) as error:
        connection.rollback()
        raise Conflict(
            f"A row of {table.name} does not fit into the target: {one_line(error)}. Correct it "
            "in the source and run the command again; it goes on from here."
        ) from error
    except database.OperationalError as error:
        raise Unavailable(
            f"The target cannot be written to: {one_line(error)}. Run the command again when it "
            "can; it goes on from here."
        ) from error


def _copy_in(connection: Connection, table: Table, rows: Rows) -> None:
    raw: Any = connection.connection.driver_connection
    statement = f"COPY {table.name} ({_names(table)}) FROM STDIN"
    with raw.cursor() as cursor, cursor.copy(statement) as copy:
        for row in rows:
            copy.write_row(row)
    raw.commit()


def _insert(connection: Connection, table: Table, rows: Rows) -> None:
    raw: Any = connection.connection.driver_connection
    places = ", ".join(itertools.repeat("?", len(table.columns)))
    statement = f"INSERT INTO {table.name} ({_names(table)}) VALUES ({places})"  # noqa: S608
    raw.execute("BEGIN")
    raw.executemany(statement, map(tuple, rows))
    raw.execute("COMMIT")


def _names(table: Table) -> str:
    return ", ".join(f'"{column.name}"' for column in table.columns)


def _portable(column: Column[Any], dialect: str) -> ColumnElement[Any]:
    """Return a column as SQLite stores it: ids, times and JSON are texts."""
    if not isinstance(column.type, Guid | Instant | JSON):
        return column
    if dialect == "sqlite":
        return type_coerce(column, Text)
    if isinstance(column.type, Instant):
        written: ColumnElement[Any] = func.to_char(func.timezone("UTC", column), _TIME)
        return written
    return cast(column, Text)


def _bound(table: Table, values: tuple[Any, ...]) -> ColumnElement[Any]:
    columns = table.primary_key.columns
    pairs = zip(columns, values, strict=True)
    return tuple_(*(literal(value, column.type) for column, value in pairs))


def _ordered(column: Column[Any], dialect: str) -> ColumnElement[Any]:
    """Return a part of the key that has the same order in every database."""
    is_text = isinstance(column.type, String)
    return column.collate("C") if dialect == "postgresql" and is_text else column
