"""What is wanted of each extension, as the database has it for all workers and hosts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update
from uuid_utils.compat import uuid7

from tinybase.db import Database, tables, utcnow

_extensions = tables.extensions
_counters = tables.counters
_quarantines = tables.handler_quarantines

COUNTER = "extensions"
"""The counter that grows with every change, so that others notice it cheaply."""


@dataclass(frozen=True)
class Wish:
    """What is wanted of one extension, and what was last seen of it.

    ``updated_at`` is when somebody last wished something.
    """

    is_enabled: bool = True
    quarantine_reason: str | None = None
    status: str = "enabled"
    status_reason: str | None = None
    updated_at: datetime | None = None


class DesiredState:
    """The table of extensions."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def read(self) -> dict[str, Wish]:
        """Return every wish, by name; an extension without one is wanted."""
        columns = (
            _extensions.c.name,
            _extensions.c.is_enabled,
            _extensions.c.quarantine_reason,
            _extensions.c.status,
            _extensions.c.status_reason,
            _extensions.c.updated_at,
        )
        with self._database.connect() as connection:
            return {row[0]: Wish(*row[1:]) for row in connection.execute(select(*columns))}

    def revision(self) -> int:
        """Return a number that grows whenever a wish changes."""
        query = select(_counters.c.value).where(_counters.c.name == COUNTER)
        with self._database.connect() as connection:
            return connection.scalar(query) or 0

    def set_enabled(self, name: str, *, is_enabled: bool, is_told: bool = False) -> None:
        """Wish an extension on or off; on also lifts its quarantine and its handlers'.

        :param is_told: the caller tells the extensions. Otherwise the worker does so that is
            the first to :meth:`claim` the switch.
        """
        values = {
            "is_enabled": is_enabled,
            "quarantine_reason": None,
            # As long as it is the opposite, nobody has told of it.
            "status": _status(is_enabled=is_enabled == is_told),
            "status_reason": None,
        }
        self._change(name, values, lift=is_enabled)

    def claim(self, name: str, *, is_enabled: bool) -> bool:
        """Say whether the caller is the first to notice a switch, so that it tells of it."""
        was_off = _extensions.c.status == _status(is_enabled=False)
        with self._database.write() as work:
            claimed = work.connection.execute(
                update(_extensions)
                .where(
                    _extensions.c.name == name,
                    _extensions.c.is_enabled.is_(is_enabled),
                    was_off if is_enabled else ~was_off,
                )
                .values(status=_status(is_enabled=is_enabled), status_reason=None)
            )
            return bool(claimed.rowcount)

    def quarantine(self, name: str, reason: str) -> None:
        """Switch an extension off because it harmed a process."""
        self._change(name, {"quarantine_reason": reason})

    def forget(self, name: str) -> None:
        """Drop the wish for an extension that is gone."""
        with self._database.write() as work:
            work.connection.execute(delete(_extensions).where(_extensions.c.name == name))
            _lift(work.connection, name)
            bump(work.connection)

    def record_status(self, seen: Mapping[str, tuple[str, str | None]]) -> None:
        """Keep what a worker saw of each extension, for those who do not load them."""
        known = self.read()
        changed = {
            name: status
            for name, status in seen.items()
            if status != (known.get(name, Wish()).status, known.get(name, Wish()).status_reason)
        }
        if not changed:
            return
        with self._database.write() as work:
            for name, (status, reason) in changed.items():
                values = {"status": status, "status_reason": reason}
                _upsert(work.connection, name, values, is_wish=False)

    def _change(self, name: str, values: Mapping[str, object], *, lift: bool = False) -> None:
        with self._database.write() as work:
            _upsert(work.connection, name, values)
            if lift:
                _lift(work.connection, name)
            bump(work.connection)


def _status(*, is_enabled: bool) -> str:
    return "enabled" if is_enabled else "disabled"


def bump(connection: Connection) -> None:
    """Tell all workers that something about the extensions changed."""
    grown = connection.execute(
        update(_counters).where(_counters.c.name == COUNTER).values(value=_counters.c.value + 1)
    )
    if not grown.rowcount:
        connection.execute(insert(_counters).values(name=COUNTER, value=1))


def _lift(connection: Connection, name: str) -> None:
    """Let the handlers of an extension be called again."""
    connection.execute(delete(_quarantines).where(_quarantines.c.extension == name))


def _upsert(
    connection: Connection, name: str, values: Mapping[str, object], *, is_wish: bool = True
) -> None:
    now = utcnow()
    times = {"updated_at": now} if is_wish else {}
    changed = connection.execute(
        update(_extensions).where(_extensions.c.name == name).values(**values, **times)
    )
    if not changed.rowcount:
        defaults = {"is_enabled": True, "status": "enabled", "created_at": now, "updated_at": now}
        connection.execute(
            insert(_extensions).values(**{**defaults, **values}, id=uuid7(), name=name)
        )
