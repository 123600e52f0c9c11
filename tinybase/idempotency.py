"""Requests that are carried out once, however often they are sent.

What a request wrote and the answer to it are one transaction, so that after whatever
interruption there are both or neither. Where that cannot be, because the effect is not the
database's, the key is reserved beforehand: then the request is never carried out again.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, Row, Table, func, select

from tinybase.config import Config
from tinybase.db import Database, Work, tables, utcnow
from tinybase.db.upsert import insert
from tinybase.errors import Conflict, Fault, Invalid, TinyBaseError
from tinybase.processes import is_gone, is_here, this_process

_keys: Table = tables.idempotency_keys

LIFE = timedelta(hours=24)
_GRACE = timedelta(minutes=1)
_PURGE_ONE_IN = 100


@dataclass(frozen=True, slots=True)
class Repeatable:
    """A request with a key: which one it is, and what it says."""

    digest: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What a repetition is answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes | None


class AnsweredMeanwhile(Exception):
    """Somebody else has carried the request out."""

    def __init__(self, answer: KeptAnswer) -> None:
        super().__init__()
        self.answer = answer


class KeptAnswers:
    """The table of keys.

    :param config: the deadline of functions tells how long a process of another machine
        may be at it.
    """

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._born_at = utcnow()
        self._longest = timedelta(seconds=config.functions.timeout_seconds) + _GRACE

    def find(self, request: Repeatable) -> KeptAnswer | None:
        """Return the answer to a request that was carried out.

        :raises Invalid: ``idempotency_key_reused``, for another request with this key.
        :raises Conflict: ``idempotency_in_progress``; ``conflict`` when nobody will ever
            know how it ended.
        """
        with self._database.connect() as connection:
            return self._find(connection, request)

    def claim(self, work: Work, request: Repeatable) -> None:
        """Make sure that a transaction is the only one that carries the request out.

        :raises AnsweredMeanwhile: when another one has.
        :raises Invalid: as :meth:`find`; so does ``Conflict``.
        """
        if work.connection.dialect.name == "postgresql":
            # SQLite's transaction that writes is alone anyway.
            (number,) = struct.unpack(">q", bytes.fromhex(request.digest[:16]))
            if not work.connection.scalar(select(func.pg_try_advisory_xact_lock(number))):
                raise _in_progress()
        answer = self._find(work.connection, request)
        if answer is not None:
            raise AnsweredMeanwhile(answer)

    def keep(self, request: Repeatable, answer: KeptAnswer) -> None:
        """Store the answer to a request, in the transaction that is open or in one of its own.

        An answer that is there already stays.
        """
        with self._database.write() as work:
            self._insert(
                work.connection,
                request,
                status=answer.status,
                headers=dict(answer.headers),
                body=answer.body,
            )
            if random.randrange(_PURGE_ONE_IN) == 0:  # noqa: S311 - no secret
                _purge(work.connection)

    def reserve(self, request: Repeatable) -> KeptAnswer | None:
        """Note that this process carries the request out, unless it was; then return the answer.

        :raises Invalid: as :meth:`find`; so does ``Conflict``.
        """
        with self._database.write() as work:
            if self._insert(work.connection, request, holder=this_process()):
                return None
            return self._find(work.connection, request)

    def complete(self, request: Repeatable, answer: KeptAnswer) -> None:
        """Store the answer to a request that this process has reserved."""
        with self._database.write() as work:
            work.connection.execute(
                _keys.update()
                .where(_keys.c.digest == request.digest)
                .values(status=answer.status, headers=dict(answer.headers), body=answer.body)
            )

    def abandon(self, request: Repeatable) -> None:
        """Give up what this process has reserved, and let nobody try it again."""
        with self._database.write() as work:
            row = _keys.c.digest == request.digest
            work.connection.execute(_keys.update().where(row).values(holder=""))

    def release(self, request: Repeatable) -> None:
        """Give up what this process has reserved; nothing was done, so it may be tried again."""
        with self._database.write() as work:
            work.connection.execute(_keys.delete().where(_keys.c.digest == request.digest))

    def _find(self, connection: Connection, request: Repeatable) -> KeptAnswer | None:
        row = connection.execute(
            select(_keys).where(_keys.c.digest == request.digest, _keys.c.expires_at > utcnow())
        ).one_or_none()
        if row is None:
            return None
        if row.fingerprint != request.fingerprint:
            raise _reused()
        if row.status is None:
            raise _outcome_unknown() if self._is_lost(row) else _in_progress()
        return KeptAnswer(row.status, row.headers, row.body)

    def _insert(self, connection: Connection, request: Repeatable, **values: object) -> bool:
        """Store a key unless it is there; say whether it was stored."""
        now = utcnow()
        connection.execute(
            _keys.delete().where(_keys.c.digest == request.digest, _keys.c.expires_at <= now)
        )
        row = {
            "digest": request.digest,
            "fingerprint": request.fingerprint,
            "created_at": now,
            "expires_at": now + LIFE,
            "headers": {},
            "holder": "",
            **values,
        }
        statement = insert(connection, _keys).values(row).on_conflict_do_nothing()
        return connection.execute(statement).rowcount == 1

    def _is_lost(self, row: Row[tuple[object, ...]]) -> bool:
        holder: str = row.holder
        begun: datetime = row.created_at
        if holder == this_process():
            return begun < self._born_at  # of an earlier process with our number
        if is_here(holder):
            return is_gone(holder)
        return not holder or begun < utcnow() - self._longest


def _purge(connection: Connection) -> None:
    """Delete what nobody may repeat any more."""
    connection.execute(_keys.delete().where(_keys.c.expires_at <= utcnow()))


def _reused() -> Invalid:
    fault = Fault(
        ("header", "Idempotency-Key"),
        "Another request had this key; use a new key for a new request.",
        "idempotency_key_reused",
    )
    return Invalid([fault], code="idempotency_key_reused")


def _in_progress() -> TinyBaseError:
    return Conflict(
        "The first request with this key is still being carried out; ask again.",
        code="idempotency_in_progress",
        headers={"Retry-After": "1"},
    )


def _outcome_unknown() -> TinyBaseError:
    return Conflict(
        "The first request with this key was interrupted and how it ended is not known. Look "
        "what it did, then use a new key."
    )
