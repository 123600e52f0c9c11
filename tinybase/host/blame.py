"""Deciding which extension has to be switched off because processes died in its code."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, delete, func, insert, select
from sqlalchemy.exc import SQLAlchemyError
from uuid_utils.compat import uuid7

from tinybase.db import Database, tables, utcnow
from tinybase.errors import TinyBaseError, one_line
from tinybase.host.desired import DesiredState, bump
from tinybase.host.recorder import IMPORT, Suspect
from tinybase.host.snapshot import PROJECT

_log = logging.getLogger(__name__)
_deaths = tables.extension_deaths

TOLERATED = 2
"""How many processes may die within the time that is looked back on."""

_LOOKED_BACK_ON = timedelta(hours=1)


@dataclass(frozen=True)
class Deaths:
    """How often an extension was found in a process that died, and where the last time."""

    times: int
    last: Suspect
    at: datetime

    @property
    def count_until(self) -> datetime:
        """Return when the last one is forgiven."""
        return self.at + _LOOKED_BACK_ON

    def __str__(self) -> str:
        return (
            f"a process died {self.times}× within an hour, the last time in {_place(self.last)} "
            f"(noticed {_clock(self.at)}); at the third time it is quarantined. "
            f"Update it, or run tinybase extensions disable {self.last.extension}."
        )


class Blame:
    """Counts the processes that died in an extension, and quarantines it.

    It is the third death within an hour that counts, or the first one if it happened while
    nothing but extensions that were starting ran: otherwise no process would ever start.
    """

    def __init__(self, database: Database, desired: DesiredState) -> None:
        self._database = database
        self._desired = desired

    def hold_to_account(self, suspects: Sequence[Suspect]) -> None:
        """Take in what one process was running when it died.

        If that was more than one thing, the innocent are told from the guilty by what they
        are found in again: only who was found most often is switched off.
        """
        for suspect in suspects:
            _log.error("a process died while it was running: %s", suspect)
        of_extensions = [item for item in suspects if item.extension != PROJECT]
        if not of_extensions:
            return
        counts = self._count(of_extensions)
        most = max(counts.values())
        # A process that serves loads and starts extensions, too, when something is switched.
        could_not_start = all(suspect.was_starting for suspect in suspects)
        for suspect in of_extensions:
            times = counts[suspect.extension]
            if times == most and (could_not_start or times > TOLERATED):
                self._quarantine(suspect, times)

    def quarantine_at_once(self, name: str, why: str) -> str | None:
        """Quarantine an extension; return the reason, or ``None`` where nothing can be written.

        :param why: one sentence or more.
        """
        reason = f"{why} Update it, then run tinybase extensions enable {name}."
        try:
            self._desired.quarantine(name, reason)
        except (SQLAlchemyError, TinyBaseError) as error:
            _log.error("extension %s could not be quarantined: %s", name, one_line(str(error)))
            return None
        _log.error("extension %s is quarantined: %s", name, reason)
        return reason

    def recent(self) -> dict[str, Deaths]:
        """Return the deaths that still count, by extension."""
        query = (
            select(_deaths.c.extension, _deaths.c.hook, _deaths.c.handler, _deaths.c.died_at)
            .where(_deaths.c.died_at >= utcnow() - _LOOKED_BACK_ON)
            .order_by(_deaths.c.died_at)
        )
        found: dict[str, Deaths] = {}
        with self._database.connect() as connection:
            for extension, hook, handler, at in connection.execute(query):
                before = found.get(extension)
                suspect = Suspect(extension, hook, handler)
                found[extension] = Deaths(before.times + 1 if before else 1, suspect, at)
        return found

    def _count(self, suspects: Sequence[Suspect]) -> dict[str, int]:
        """Note the death of a process; return how often each extension was found in one."""
        now = utcnow()
        by_name = {suspect.extension: suspect for suspect in suspects}
        with self._database.write() as work:
            connection = work.connection
            connection.execute(delete(_deaths).where(_deaths.c.died_at < now - _LOOKED_BACK_ON))
            for name, suspect in by_name.items():
                connection.execute(
                    insert(_deaths).values(
                        id=uuid7(),
                        extension=name,
                        hook=suspect.hook,
                        handler=suspect.handler,
                        died_at=now,
                    )
                )
            bump(connection)
            return {name: _found(connection, name) for name in by_name}

    def _quarantine(self, suspect: Suspect, times: int) -> None:
        name = suspect.extension
        if suspect.hook == IMPORT:
            what = "a process died while it loaded the extension"
        else:
            count = "" if times < 2 else f" {times}×"
            what = f"a process died{count} in {_place(suspect)}"
        reason = (
            f"{what} (noticed {_clock(utcnow())}). "
            f"Update it, then run tinybase extensions enable {name}."
        )
        _log.error("extension %s is quarantined: %s", name, reason)
        self._desired.quarantine(name, reason)
        with self._database.write() as work:
            # Whoever enables it again lets it start afresh.
            work.connection.execute(delete(_deaths).where(_deaths.c.extension == name))


def _place(suspect: Suspect) -> str:
    return f"{suspect.handler} ({suspect.hook.removeprefix('tinybase_')})"


def _clock(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M:%S UTC")


def _found(connection: Connection, name: str) -> int:
    query = select(func.count()).select_from(_deaths).where(_deaths.c.extension == name)
    return int(connection.scalar(query) or 0)
