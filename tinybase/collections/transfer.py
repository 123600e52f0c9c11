"""Many records at once: out of a collection, and into one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Table, select
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from tinybase.collections.collection import Collection
from tinybase.collections.collections import Collections
from tinybase.collections.expressions import RECORDS, in_collection
from tinybase.collections.hooks import Audience, tell_created
from tinybase.collections.participants import Participants, participants_of
from tinybase.collections.record import RecordRow, shown
from tinybase.collections.writing import check_owner_exists, constraints_explained
from tinybase.db import Database, Work, tables, utcnow
from tinybase.db.upsert import insert
from tinybase.errors import TinyBaseError
from tinybase.host.sites import Hooks

_imports: Table = tables.record_imports
_CHUNK = 1_000


@dataclass(frozen=True, slots=True)
class Place:
    """A place in a file: after so many bytes and lines; ``digest`` is that of the bytes."""

    offset: int
    lines: int
    digest: str


@dataclass(frozen=True, slots=True)
class Draft:
    """A record as a file has it; what it lacks is made up as for a new one."""

    data: Mapping[str, Any]
    id: UUID | None = None
    owner_id: UUID | None = None
    version: int = 1
    created_at: datetime | None = None
    updated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a file: a record, or what is wrong with it."""

    number: int
    draft: Draft | TinyBaseError


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that was not imported."""

    line: int
    error: TinyBaseError


class TooManyRefused(Exception):
    """More lines are refused than may be; nothing was stored. ``index`` is the first too many."""

    def __init__(self, index: int, refused: Refused) -> None:
        super().__init__()
        self.index = index
        self.refused = refused


class RecordTransfer:
    """Takes many records out of a collection, or puts them in, as the operator."""

    def __init__(self, database: Database, hooks: Hooks, collections: Collections) -> None:
        self._database = database
        self._audience = Audience(hooks)
        self._collections = collections

    def records(self, collection: Collection) -> Iterator[RecordRow]:
        """Yield every record as it is at one moment, the oldest first."""
        query = select(RECORDS).where(in_collection(collection.id))
        query = query.order_by(RECORDS.c.created_at, RECORDS.c.id)
        with self._database.connect() as connection:
            for row in connection.execution_options(yield_per=_CHUNK).execute(query):
                yield shown(collection, row)

    def place(self, collection: Collection, source: str) -> Place | None:
        """Return up to which place a file was imported."""
        with self._database.connect() as connection:
            row = connection.execute(select(_imports).where(_of(collection, source))).one_or_none()
        return None if row is None else Place(row.offset, row.lines, row.digest)

    def forget(self, collection: Collection, source: str) -> None:
        """Have a file imported from its beginning."""
        with self._database.write() as work:
            work.connection.execute(_imports.delete().where(_of(collection, source)))

    def store(
        self,
        collection: Collection,
        lines: Sequence[Line],
        *,
        may_refuse: int | None,
        place: tuple[str, Place] | None = None,
        tell: bool = False,
        keep: bool = True,
    ) -> list[Refused]:
        """Store the records of some lines in one transaction; return the lines that are refused.

        :param may_refuse: how many may be; ``None`` is all of them.
        :param place: the source, and where in it the lines end; it is noted with them.
        :param tell: ask the extensions about each record, and tell them of it. Those that they
            refuse are refused lines.
        :param keep: without it everything is checked and nothing stored.
        :raises TooManyRefused: and then nothing is stored.
        """
        prepared = _Prepared(collection, lines)
        with self._database.write() as work:
            current = self._collections.current(work.connection, collection)
            if current.version != collection.version:
                prepared = _Prepared(current, lines)
            heard = self._audience.of(current) if tell else None
            participants = participants_of(heard)
            if participants is None:
                refused = _insert(work.connection, current, prepared.rows)
            else:
                refused = _insert_asking(work, current, prepared.rows, participants)
            refused = sorted(prepared.refused + refused, key=lambda each: each.line)
            if may_refuse is not None and len(refused) > may_refuse:
                raise _too_many(lines, refused[may_refuse])
            if not keep:
                work.connection.rollback()
                work.callbacks.clear()
                return refused
            if place is not None:
                _note(work.connection, current, *place)
            numbers = {each.line for each in refused}
            for number, row in prepared.rows.items():
                if number not in numbers:
                    tell_created(heard, work, current, row)
        return refused


class _Prepared:
    """Lines that were checked against the schema: rows by their line, and the others."""

    def __init__(self, collection: Collection, lines: Sequence[Line]) -> None:
        self.rows: dict[int, RecordRow] = {}
        self.refused: list[Refused] = []
        for line in lines:
            if isinstance(line.draft, TinyBaseError):
                self.refused.append(Refused(line.number, line.draft))
                continue
            try:
                self.rows[line.number] = _row(collection, line.draft)
            except TinyBaseError as error:
                self.refused.append(Refused(line.number, error))


def _row(collection: Collection, draft: Draft) -> RecordRow:
    created_at = draft.created_at or utcnow()
    return RecordRow(
        id=draft.id or uuid7(),
        collection_id=collection.id,
        owner_id=draft.owner_id,
        data=collection.compiled.load(draft.data),
        version=draft.version,
        created_at=created_at,
        updated_at=draft.updated_at or created_at,
    )


def _insert(
    connection: Connection, collection: Collection, rows: Mapping[int, RecordRow]
) -> list[Refused]:
    """Insert all rows at once; if that fails, one by one, to find those that are to blame."""
    if not rows:
        return []
    try:
        with connection.begin_nested():
            connection.execute(RECORDS.insert(), [row.columns() for row in rows.values()])
    except IntegrityError:
        return _insert_singly(connection, collection, rows)
    return []


def _insert_singly(
    connection: Connection, collection: Collection, rows: Mapping[int, RecordRow]
) -> list[Refused]:
    refused = []
    for number, row in rows.items():
        try:
            with constraints_explained(collection), connection.begin_nested():
                _insert_one(connection, row)
        except TinyBaseError as error:
            refused.append(Refused(number, error))
    return refused


def _insert_one(connection: Connection, row: RecordRow) -> None:
    check_owner_exists(connection, row.owner_id)
    connection.execute(RECORDS.insert().values(row.columns()))


def _insert_asking(
    work: Work,
    collection: Collection,
    rows: dict[int, RecordRow],
    participants: Participants,
) -> list[Refused]:
    """Insert rows one by one, as the extensions want them; change ``rows`` accordingly.

    :raises TinyBaseError: ``extension_error``, which ends it all.
    """
    refused = []
    for number, row in rows.items():
        asked_for = len(work.callbacks)
        try:
            with constraints_explained(collection), work.connection.begin_nested():
                rows[number] = participants.creating(work, collection, row)
                _insert_one(work.connection, rows[number])
                participants.written(work, collection, None, rows[number])
        except TinyBaseError as error:
            if error.status >= 500:
                raise
            del work.callbacks[asked_for:]
            refused.append(Refused(number, error))
    return refused


def _note(connection: Connection, collection: Collection, source: str, place: Place) -> None:
    values = {
        "offset": place.offset,
        "lines": place.lines,
        "digest": place.digest,
        "updated_at": utcnow(),
    }
    key = {"collection_id": collection.id, "source": source}
    statement = insert(connection, _imports).values({**key, **values})
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def _of(collection: Collection, source: str) -> Any:
    return (_imports.c.collection_id == collection.id) & (_imports.c.source == source)


def _too_many(lines: Sequence[Line], refused: Refused) -> TooManyRefused:
    index = next(index for index, line in enumerate(lines) if line.number == refused.line)
    return TooManyRefused(index, refused)
