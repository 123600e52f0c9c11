"""The record of calls: what was called by whom, and how it ended."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, RowMapping, func, insert, select, update
from uuid_utils.compat import uuid7

from tinybase.db import Database, tables, utcnow
from tinybase.errors import NotFound, TinyBaseError
from tinybase.processes import is_gone, this_process

_calls = tables.function_calls
_LONGEST_MESSAGE = 10_000
_GRACE = timedelta(minutes=1)


@dataclass(frozen=True)
class CallPage:
    """Some of the calls, newest first, and how many there are."""

    calls: list[RowMapping]
    total: int


class CallJournal:
    """The table of calls.

    A running call also holds one of its caller's places, in whichever worker it runs.

    :param timeout_seconds: the deadline of calls; one that seems to run for longer lost
        its worker and holds no place any more.
    """

    def __init__(self, database: Database, timeout_seconds: float) -> None:
        self._database = database
        self._longest = timedelta(seconds=timeout_seconds) + _GRACE
        self._born_at = utcnow()

    def begin(self, row: Mapping[str, Any], *, limit: int | None, taken: int = 0) -> UUID:
        """Record a call that is about to run.

        :param limit: how many calls of the same ``caller`` may run at the same time.
        :param taken: how many of these places are taken by what is not recorded as running.
        :raises TinyBaseError: ``too_many_concurrent_calls``, and then nothing is recorded.
        """
        call_id: UUID = uuid7()
        now = utcnow()
        with self._database.write() as work:
            if limit is not None:
                running = self._count_running(work.connection, row["caller"], now)
                if running + taken >= limit:
                    raise _too_many(limit)
            work.connection.execute(
                insert(_calls).values(
                    id=call_id,
                    status="running",
                    host=this_process(),
                    started_at=now,
                    created_at=now,
                    **row,
                )
            )
        return call_id

    def finish(
        self,
        call_id: UUID,
        *,
        duration_ms: int,
        error_type: str | None,
        error_message: str | None,
        after_commit: Callable[[], object],
    ) -> None:
        """Record how a call ended; ``after_commit`` is done once that is durable."""
        with self._database.write() as work:
            work.connection.execute(
                update(_calls)
                .where(_calls.c.id == call_id)
                .values(
                    status="succeeded" if error_type is None else "failed",
                    finished_at=utcnow(),
                    duration_ms=duration_ms,
                    error_type=error_type,
                    error_message=error_message,
                )
            )
            work.after_commit(after_commit)

    def page(self, filters: Mapping[str, str | None], limit: int, offset: int) -> CallPage:
        """Return calls, newest first; a filter that is ``None`` does not count."""
        wanted = [_calls.c[name] == value for name, value in filters.items() if value is not None]
        newest = (
            select(_calls).where(*wanted).order_by(_calls.c.created_at.desc(), _calls.c.id.desc())
        )
        with self._database.connect() as connection:
            total = connection.scalar(select(func.count()).select_from(_calls).where(*wanted))
            rows = connection.execute(newest.limit(limit).offset(offset)).mappings().all()
        return CallPage(list(rows), total or 0)

    def get(self, call_id: UUID) -> RowMapping:
        """Return one call.

        :raises NotFound: if there is none of that id.
        """
        with self._database.connect() as connection:
            row = (
                connection.execute(select(_calls).where(_calls.c.id == call_id)).mappings().first()
            )
        if row is None:
            raise NotFound(f"Function call '{call_id}' not found.")
        return row

    def close_abandoned(self) -> int:
        """Record as failed what can no longer be running; return how many that were.

        That is what belongs to processes of this machine that are gone, and what is past
        its deadline anywhere.
        """
        now = utcnow()
        with self._database.write() as work:
            lost = self._find_lost(work.connection, now)
            if lost:
                work.connection.execute(
                    update(_calls)
                    .where(_calls.c.id.in_(lost), _calls.c.status == "running")
                    .values(
                        status="failed",
                        finished_at=now,
                        error_type="Interrupted",
                        error_message="The server stopped while the function ran.",
                    )
                )
        return len(lost)

    def count_abandoned(self) -> int:
        """Return how many calls :meth:`close_abandoned` would close."""
        with self._database.connect() as connection:
            return len(self._find_lost(connection, utcnow()))

    def _find_lost(self, connection: Connection, now: datetime) -> list[UUID]:
        running = select(_calls.c.id, _calls.c.host, _calls.c.started_at).where(
            _calls.c.status == "running"
        )
        rows = connection.execute(running)
        return [row.id for row in rows if self._is_lost(row.host, row.started_at, now)]

    def _count_running(self, connection: Connection, caller: str, now: datetime) -> int:
        if connection.dialect.name == "postgresql":
            # Two workers must not both take the last place; SQLite has one writer anyway.
            connection.execute(select(func.pg_advisory_xact_lock(func.hashtext(caller))))
        running = (
            select(func.count())
            .select_from(_calls)
            .where(
                _calls.c.status == "running",
                _calls.c.caller == caller,
                _calls.c.started_at > now - self._longest,
            )
        )
        return connection.scalar(running) or 0

    def _is_lost(self, host: str, started_at: datetime, now: datetime) -> bool:
        if host == this_process() and started_at < self._born_at:
            return True  # of an earlier process with our number, as containers have
        return started_at < now - self._longest or is_gone(host)


def _too_many(limit: int) -> TinyBaseError:
    """Return the refusal of a caller whose places are all taken."""
    return TinyBaseError(
        f"{limit} calls of yours are still running; wait until one has finished.",
        code="too_many_concurrent_calls",
        headers={"Retry-After": "1"},
    )


def error_texts(error: BaseException) -> tuple[str, str]:
    """Return the type and the text of an error, in a form that every database takes."""
    try:
        text = str(error)
    except Exception:  # noqa: BLE001 - the text is the author's code, it may do anything
        text = ""
    name = type(error).__name__
    return _storable(name)[:255], _storable(text or name)[:_LONGEST_MESSAGE]


def _storable(text: str) -> str:
    return text.replace("\0", "�").encode("utf-8", "replace").decode()
