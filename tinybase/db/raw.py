"""Past SQLAlchemy: statements as text, on connections of the driver.

For where every microsecond counts. A statement is compiled once. What is bound to it and what
comes back is what the driver takes and gives: no column type of SQLAlchemy has a hand in it.
"""

from __future__ import annotations

from collections import deque, namedtuple
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any

from sqlalchemy import Delete, Engine, Insert, Select, Update, event
from sqlalchemy.exc import DBAPIError

_MOST_FREE = {"sqlite": 6, "postgresql": 16}
"""How many connections are kept. Readers and writers wait for one another on SQLite, so more are
seldom needed there, and each remembers megabytes of what it has read.
"""

Rows = list[tuple[Any, ...]]


class Statement:
    """A statement as one engine understands it."""

    def __init__(self, engine: Engine, statement: Select[Any] | Insert | Update | Delete) -> None:
        compiled = statement.compile(dialect=engine.dialect)
        self.text = compiled.string
        written = {name: each for name, each in compiled.params.items() if each is not None}
        self.bound = _binder(compiled.positiontup, written)
        """Return parameters in the form that the driver takes."""
        columns = statement.selected_columns if isinstance(statement, Select) else ()
        self._row = namedtuple("_row", [column.key for column in columns])  # type: ignore[misc]
        self._readers: list[Callable[[Any], Any] | None] = [
            column.type.dialect_impl(engine.dialect).result_processor(engine.dialect, None)
            for column in columns
        ]

    def typed(self, row: Sequence[Any]) -> Any:
        """Return a row as SQLAlchemy would: with names, and values of the columns' types."""
        pairs = zip(self._readers, row, strict=True)
        return self._row(*[value if reader is None else reader(value) for reader, value in pairs])


def _binder(
    names: Sequence[str] | None, written: Mapping[str, Any]
) -> Callable[[Mapping[str, Any]], Any]:
    """Return what makes parameters of values.

    :param names: the order of positional parameters, if they are such.
    :param written: the values that the statement has itself.
    """
    if written:
        bound = _binder(names, {})
        return lambda values: bound({**written, **values})
    if names is None:
        return lambda values: values
    if len(names) > 1:
        return itemgetter(*names)
    return lambda values: tuple([values[name] for name in names])


class RawConnections:
    """Connections of the driver, which are in no transaction as long as nobody has them.

    :param most_free: how many are kept for whoever comes next.
    :param setup: a statement that each begins with.
    """

    def __init__(
        self, engine: Engine, *, most_free: int | None = None, setup: str | None = None
    ) -> None:
        self.error = engine.dialect.loaded_dbapi.Error
        self.free: deque[Any] = deque()
        self._engine = engine
        self._most_free = most_free or _MOST_FREE[engine.dialect.name]
        self._setup = setup
        self._is_disposed = False
        self._begin = "BEGIN IMMEDIATE" if engine.dialect.name == "sqlite" else "BEGIN"
        event.listen(engine, "engine_disposed", self._close)

    def kept(self) -> Any | None:
        """Return a connection that was used before, if there is one; it may be dead."""
        try:
            return self.free.pop()
        except IndexError:
            return None

    def new(self) -> Any:
        """Take a new connection out of the engine, which has made it ready for use."""
        pooled = self._engine.raw_connection()
        connection: Any = pooled.driver_connection
        pooled.detach()
        if self._engine.dialect.name == "postgresql":
            connection.rollback()
            connection.autocommit = True
        if self._setup is not None:
            connection.execute(self._setup)
        return connection

    def give_back(self, connection: Any) -> None:
        """Keep a connection for whoever comes next, unless nobody will."""
        if len(self.free) >= self._most_free:
            connection.close()
            return
        self.free.append(connection)
        if self._is_disposed:
            # Looked at last: the engine may be disposed of in another thread meanwhile.
            self._close_free()

    def told(self, error: Any, connection: Any | None) -> BaseException:
        """Return an exception of the driver in SQLAlchemy's words."""
        told: BaseException = DBAPIError.instance(
            None,
            None,
            error,
            self.error,
            connection_invalidated=self._is_lost(error, connection),
            dialect=self._engine.dialect,
        )
        return told

    def begun(self) -> Any:
        """Return a connection in a new transaction that writes.

        :raises DBAPIError: for what the driver raises.
        """
        connection = self.kept()
        if connection is not None:
            try:
                connection.execute(self._begin)
            except self.error as error:
                # The database was restarted, perhaps: nothing has been done, so try anew.
                is_lost = self._is_lost(error, connection)
                self.give_up(connection)
                if not is_lost:
                    raise self.told(error, None) from error
            else:
                return connection
        try:
            connection = self.new()
            connection.execute(self._begin)
        except self.error as error:
            if connection is not None:
                self.give_up(connection)
            raise self.told(error, connection) from error
        return connection

    def give_up(self, connection: Any) -> None:
        """Roll back; a connection that cannot even do that is of no more use."""
        try:
            connection.rollback()
        except self.error:
            connection.close()
        else:
            self.give_back(connection)

    def _is_lost(self, error: Any, connection: Any | None) -> bool:
        return bool(self._engine.dialect.is_disconnect(error, connection, None))

    def _close(self, _: Engine) -> None:
        self._is_disposed = True
        self._close_free()

    def _close_free(self) -> None:
        while (connection := self.kept()) is not None:
            connection.close()
