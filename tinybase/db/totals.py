"""Counting rows, again only when something has been written since."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

from tinybase.db.reading import Reader, Statement
from tinybase.db.units import Joint
from tinybase.db.work import Database

_MOST_KNOWN = 1_000

_State = tuple[object, int, int]


class Totals:
    """What statements that count found in one database.

    Counting takes a step for each row. Whether anybody has written anything takes SQLite one
    step in all, so a list that is paged through is counted once. Other engines cannot say it.
    """

    def __init__(self, database: Database) -> None:
        self._engine = database.engine
        self._connections = database.raw
        self._can_tell = database.engine.dialect.name == "sqlite"
        self._known: dict[Hashable, tuple[_State, int]] = {}

    def of(self, reader: Reader, statement: Statement, values: Mapping[str, Any]) -> int:
        """Return the number that a statement finds now, read by the reader if need be."""
        # The state first: what is written while we count makes it another one for the next.
        state = self._state()
        if state is None:
            return _count(reader, statement, values)
        key = statement.text, statement.bound(values)
        known = self._known.get(key)
        if known is not None and known[0] == state:
            return known[1]
        total = _count(reader, statement, values)
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[key] = state, total
        return total

    def _state(self) -> _State | None:
        """Return what every change of the database makes another, if we can tell.

        A transaction that we take part in has changes that no other connection sees.
        """
        if not self._can_tell or Joint.current(self._engine) is not None:
            return None
        connection = self._connections.kept()
        if connection is None:
            return None
        try:
            [(version,)] = connection.execute("PRAGMA data_version").fetchall()
        except self._connections.error:
            connection.close()
            return None
        # The version tells of what others have written, and nothing of its own connection.
        state = connection, connection.total_changes, version
        self._connections.give_back(connection)
        return state


def _count(reader: Reader, statement: Statement, values: Mapping[str, Any]) -> int:
    total: int = reader.rows(statement, values)[0][0]
    return total
