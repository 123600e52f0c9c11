"""Which handlers are not called any more because they failed too often, in all workers."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from sqlalchemy import insert, select
from uuid_utils.compat import uuid7

from tinybase.db import Database, tables, utcnow
from tinybase.errors import one_line
from tinybase.host.desired import bump
from tinybase.host.snapshot import ExtensionState
from tinybase.host.stats import HandlerStats

_quarantines = tables.handler_quarantines


class _Key(NamedTuple):
    """What a handler is known by in all processes."""

    extension: str
    hook: str
    handler: str

    @classmethod
    def of(cls, handler: HandlerStats) -> _Key:
        return cls(handler.extension, handler.hook, handler.handler)


class HandlerQuarantines:
    """The table of them; whoever enables an extension lifts those of its handlers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def publish(self, handlers: Iterable[HandlerStats]) -> None:
        """Tell the other workers of what was quarantined in this one."""
        fresh = [item for item in handlers if item.fresh_quarantine is not None]
        if not fresh:
            return
        with self._database.write() as work:
            for handler in fresh:
                row = {
                    **_Key.of(handler)._asdict(),
                    "id": uuid7(),
                    "reason": handler.fresh_quarantine,
                    "quarantined_at": utcnow(),
                }
                work.connection.execute(insert(_quarantines).values(row))
            bump(work.connection)
        for handler in fresh:
            handler.fresh_quarantine = None

    def apply(self, handlers: Collection[HandlerStats]) -> None:
        """Make what holds in the database hold for some handlers of this process."""
        known = self._read()
        for handler in handlers:
            if handler.fresh_quarantine is None:
                handler.put_in_quarantine(known.get(_Key.of(handler)))

    def _read(self) -> Mapping[_Key, str]:
        columns = _quarantines.c.extension, _quarantines.c.hook, _quarantines.c.handler
        with self._database.connect() as connection:
            rows = connection.execute(select(*columns, _quarantines.c.reason))
            return {_Key(*row[:3]): row[3] for row in rows}


def with_quarantines(state: ExtensionState, handlers: Iterable[HandlerStats]) -> ExtensionState:
    """Return a state that says which of its handlers are quarantined; it stays enabled."""
    reasons = [one_line(item.quarantine) for item in handlers if item.quarantine is not None]
    if state.status != "enabled" or state.reason is not None or not reasons:
        return state
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return replace(
        state,
        reason=f"a handler is quarantined{more}: {reasons[0]}. "
        f"Update it, then run tinybase extensions enable {state.name}.",
    )
