"""Changing records inside a transaction."""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import pluggy
from sqlalchemy import Connection, Insert, bindparam, exists, select
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from tinybase.collections.access import Operation
from tinybase.collections.answered import COLUMNS, answered_columns
from tinybase.collections.attempt import Attempt
from tinybase.collections.collection import Collection
from tinybase.collections.compiled import (
    CompiledSchema,
    Document,
    RecordInvalid,
    as_text,
    equal,
    from_text,
)
from tinybase.collections.expressions import RECORDS
from tinybase.collections.hooks import tell_created, tell_deleted, tell_updated
from tinybase.collections.indexes import unique_violation
from tinybase.collections.participants import written_meanwhile
from tinybase.collections.preconditions import version_mismatch
from tinybase.collections.record import RecordRow
from tinybase.collections.sight import Sight
from tinybase.db import Database, RawWork, format_time, tables, utcnow
from tinybase.errors import Conflict, Fault, Invalid, TinyBaseError, Unauthenticated

COLLECTIONS = tables.collections
USERS = tables.users

_COLLECTION_ID = len(COLUMNS)
_VERSION = COLUMNS.index("version")


class RecordStatements:
    """What is said to the database about single records, compiled once."""

    def __init__(self, database: Database) -> None:
        seen = (
            RECORDS.c.id == bindparam("of_id"),
            RECORDS.c.collection_id == bindparam("of_collection"),
            RECORDS.c.version == bindparam("of_version"),
        )
        content = {
            name: bindparam(name, type_=RECORDS.c[name].type)
            for name in ("data", "version", "updated_at")
        }
        owner = {"owner_id": bindparam("owner_id", type_=RECORDS.c.owner_id.type)}
        columns = answered_columns(database.engine, "collection_id")
        by_id = select(*columns).where(RECORDS.c.id == bindparam("id"))
        user = select(USERS.c.id).where(USERS.c.id == bindparam("id"))
        self.find = database.statement(by_id.with_for_update())
        self.insert = database.statement(RECORDS.insert())
        self.insert_as_seen = database.statement(_insert_as_seen())
        # A column that is named is written, and its indexes with it, even if it stays the same.
        self.update = database.statement(RECORDS.update().where(*seen).values(content))
        self.give = database.statement(RECORDS.update().where(*seen).values({**content, **owner}))
        self.delete = database.statement(RECORDS.delete().where(*seen))
        self.find_user = database.statement(user.with_for_update(read=True))


def _insert_as_seen() -> Insert:
    """Return an insert into a collection that has a certain version, and keeps it then."""
    collection = select(COLLECTIONS.c.id).where(
        COLLECTIONS.c.id == bindparam("collection_id"),
        COLLECTIONS.c.version == bindparam("of_version"),
    )
    values = [bindparam(column.name, type_=column.type) for column in RECORDS.c]
    row = select(*values).where(exists(collection.with_for_update(read=True)))
    # All of them are given, so there is no default to look for.
    return RECORDS.insert().from_select(list(RECORDS.c.keys()), row, include_defaults=False)


class Prepared:
    """Records that were checked before the transaction, so that nobody waits for that.

    ``are_good`` says that there are some, and that all of them fit the schema as it was then.
    What does not fit the schema is checked again in its turn, and refused then. So is
    everything when the schema has changed meanwhile.
    """

    def __init__(self, schema: CompiledSchema, records: Iterable[Mapping[str, Any]]) -> None:
        self._schema = schema
        self._loaded: dict[int, Document] = {}
        self.are_good = False
        for data in records:
            try:
                self._loaded[id(data)] = schema.load(data)
            except RecordInvalid:
                return
        self.are_good = bool(self._loaded)

    def load(self, schema: CompiledSchema, data: Mapping[str, Any]) -> Document:
        """Return the stored form of a whole record.

        :raises RecordInvalid: with every fault of the data.
        """
        known = self._loaded.pop(id(data), None) if schema is self._schema else None
        return schema.load(data) if known is None else known


class Writing:
    """What one actor changes in one collection, in one transaction.

    Whether the actor is admitted at all has been checked; whether they are given a certain
    record is checked here. The extensions are told after the commit; those who take
    part in it are asked before.
    """

    def __init__(
        self,
        work: RawWork,
        statements: RecordStatements,
        sight: Sight,
        prepared: Prepared,
        attempt: Attempt,
    ) -> None:
        self.collection = sight.collection
        self._collection_id = str(sight.collection.id)
        self._heard = attempt.heard
        self._work = work
        self._statements = statements
        self.sight = sight
        self._actor = sight.actor
        self._prepared = prepared
        self._participants = attempt.participants
        self._attempt = attempt

    def shared(self) -> AbstractContextManager[None]:
        """Let whatever is called in the block take part in the transaction."""
        return self._work.shared()

    def create(
        self,
        data: Mapping[str, Any],
        *,
        record_id: UUID | None = None,
        owner_id: UUID | None = None,
    ) -> RecordRow:
        """Store a new record, under an id of the caller's choice if there is one.

        :raises Conflict: ``id_conflict`` when a record has the id already.
        """
        self._attempt.about("create", record_id)
        row = None if record_id is None else self._with_id(record_id)
        if row is not None:
            raise _id_conflict()
        return self._insert(record_id or uuid7(), data, owner_id)

    def create_as_seen(self, data: Mapping[str, Any]) -> RecordRow | None:
        """Store a new record in a collection that was not looked at in this transaction.

        ``None`` is that it has changed since, and nothing was stored. Nobody may take part.
        """
        record = self._new(uuid7(), data, None)
        row = {**self._as_new(record), "of_version": self.collection.version}
        if self._work.change(self._statements.insert_as_seen, row) == 0:
            return None
        tell_created(self._heard, self._work, self.collection, record)
        return record

    def update(
        self,
        record_id: UUID,
        changes: Mapping[str, Any],
        *,
        owner_id: UUID | None = None,
        if_match: Container[int] | None = None,
    ) -> RecordRow:
        """Replace the given fields of a record."""
        row = self._existing(record_id, Operation.UPDATE)
        self._check(Operation.UPDATE, row, if_match)
        merged = self.collection.compiled.merge(row.data, changes)
        return self._overwrite(row, merged, owner_id)

    def replace(
        self, record_id: UUID, data: Mapping[str, Any], *, if_match: Container[int] | None = None
    ) -> RecordRow:
        """Replace a record whole."""
        row = self._existing(record_id, Operation.UPDATE)
        self._check(Operation.UPDATE, row, if_match)
        return self._overwrite(row, self._load(data), None)

    def put(
        self,
        record_id: UUID,
        data: Mapping[str, Any],
        *,
        owner_id: UUID | None = None,
        if_match: Container[int] | None = None,
        only_new: bool = False,
    ) -> tuple[RecordRow, bool]:
        """Replace a record whole or create it; say whether it is new."""
        row = self._with_id(record_id)
        seen = self._seen(record_id, row, Operation.UPDATE)
        operation = Operation.CREATE if seen is None else Operation.UPDATE
        self._attempt.about(operation.value, record_id)
        if seen is not None:
            self._check(Operation.UPDATE, seen, if_match, only_new=only_new)
            return self._overwrite(seen, self._load(data), owner_id), False
        if not self.sight.admits(Operation.CREATE):
            raise self.sight.absent(Operation.UPDATE, record_id)
        self._check_precondition_given(if_match, only_new=only_new)
        if if_match is not None:
            raise version_mismatch("record", None)
        if row is not None:
            raise _id_conflict()
        return self._insert(record_id, data, owner_id), True

    def delete(self, record_id: UUID, *, if_match: Container[int] | None = None) -> None:
        """Delete a record."""
        row = self._existing(record_id, Operation.DELETE)
        self._check(Operation.DELETE, row, if_match)
        gone, asked = self._shown(row), self._participants
        if asked is not None:
            asked.deleting(self._work, self.collection, gone)
        if self._work.change(self._statements.delete, self._as_seen(row)) == 0:
            raise _not_as_seen(None if asked is None else asked.delete)
        tell_deleted(self._heard, self._work, self.collection, [gone])
        if asked is not None:
            asked.written(self._work, self.collection, gone, None)

    def _insert(self, record_id: UUID, data: Mapping[str, Any], owner_id: UUID | None) -> RecordRow:
        self._check_owner_exists(owner_id)
        record = self._new(record_id, data, owner_id)
        if self._participants is not None:
            record = self._participants.creating(self._work, self.collection, record)
        self._work.change(self._statements.insert, self._as_new(record))
        tell_created(self._heard, self._work, self.collection, record)
        return self._joined(None, record)

    def _new(self, record_id: UUID, data: Mapping[str, Any], owner_id: UUID | None) -> RecordRow:
        now, owner_id = utcnow(), owner_id or self._actor.user_id
        return RecordRow(record_id, self.collection.id, owner_id, self._load(data), 1, now, now)

    def _overwrite(self, row: RecordRow, data: Document, owner_id: UUID | None) -> RecordRow:
        """Write a record in the place of the version that was looked at, if it differs."""
        self._check_owner_exists(owner_id)
        before = self._shown(row)
        keeps_owner = owner_id is None or owner_id == before.owner_id
        if keeps_owner and equal(data, before.data):
            return before
        after = RecordRow(
            before.id,
            before.collection_id,
            owner_id or before.owner_id,
            data,
            before.version + 1,
            before.created_at,
            utcnow(),
        )
        asked = self._participants
        if asked is not None:
            after = asked.updating(self._work, self.collection, before, after)
            if keeps_owner and equal(after.data, before.data):
                return before
        statement = self._statements.update if keeps_owner else self._statements.give
        if self._work.change(statement, {**_content(after), **self._as_seen(row)}) == 0:
            raise _not_as_seen(None if asked is None else asked.update)
        tell_updated(self._heard, self._work, self.collection, before, after)
        return self._joined(before, after)

    def _joined(self, before: RecordRow | None, after: RecordRow) -> RecordRow:
        """Let others add to a write; return the record as it is then."""
        if self._participants is None or self._participants.write is None:
            return after
        self._participants.written(self._work, self.collection, before, after)
        row = self._with_id(after.id)
        if row is None or row[_VERSION] == after.version:
            return after
        return self._shown(self._record(after.id, row))

    def _load(self, data: Mapping[str, Any]) -> Document:
        return self._prepared.load(self.collection.compiled, data)

    def _shown(self, row: RecordRow) -> RecordRow:
        data = self.collection.compiled.show(row.data)
        return RecordRow(
            row.id,
            row.collection_id,
            row.owner_id,
            data,
            row.version,
            row.created_at,
            row.updated_at,
        )

    def _existing(self, record_id: UUID, operation: Operation) -> RecordRow:
        self._attempt.about(operation.value, record_id)
        row = self._seen(record_id, self._with_id(record_id), operation)
        if row is None:
            raise self.sight.absent(operation, record_id)
        return row

    def _seen(
        self, record_id: UUID, row: Sequence[Any] | None, operation: Operation
    ) -> RecordRow | None:
        """Return the record with an id if it is one of the collection that the actor may know of.

        It is looked for in the same way whether or not there is one, which takes as long.
        """
        is_seen = self.sight.sees(self._work.one, operation, record_id)
        if row is None or row[_COLLECTION_ID] != self._collection_id or not is_seen:
            return None
        return self._record(record_id, row)

    def _with_id(self, record_id: UUID) -> Sequence[Any] | None:
        """Return the row of a record of any collection, and keep others from changing it."""
        return self._work.one(self._statements.find, {"id": str(record_id)})

    def _record(self, record_id: UUID, row: Sequence[Any]) -> RecordRow:
        """Return a row of :func:`answered_columns`, of this collection, as it is stored."""
        _, owner_id, data, version, created_at, updated_at, _ = row
        return RecordRow(
            record_id,
            self.collection.id,
            None if owner_id is None else UUID(owner_id),
            from_text(data),
            version,
            datetime.fromisoformat(created_at),
            datetime.fromisoformat(updated_at),
        )

    def _as_new(self, record: RecordRow) -> dict[str, Any]:
        """Return the columns of a new record, as both drivers take them."""
        content = _content(record)
        content["id"] = str(record.id)
        content["collection_id"] = self._collection_id
        content["created_at"] = content["updated_at"]
        return content

    def _as_seen(self, row: RecordRow) -> dict[str, Any]:
        """Return the condition for a record in the version that was looked at, and no other."""
        return {
            "of_id": str(row.id),
            "of_collection": self._collection_id,
            "of_version": row.version,
        }

    def _check_owner_exists(self, owner_id: UUID | None) -> None:
        if owner_id is None:
            return
        if self._work.one(self._statements.find_user, {"id": str(owner_id)}) is None:
            raise _unknown_user()

    def _check(
        self,
        operation: Operation,
        row: RecordRow,
        if_match: Container[int] | None,
        *,
        only_new: bool = False,
    ) -> None:
        """Refuse a caller who may not change this record, or has not seen it as it is."""
        self.sight.check(self._work.one, operation, row)
        self._check_precondition_given(if_match, only_new=only_new)
        if only_new or (if_match is not None and row.version not in if_match):
            may_read = self.sight.may_read(self._work.one, row)
            raise version_mismatch("record", row.version if may_read else None)

    def _check_precondition_given(self, if_match: Container[int] | None, *, only_new: bool) -> None:
        if self.collection.settings.require_if_match and if_match is None and not only_new:
            raise TinyBaseError(
                "This collection is changed with the header If-Match only; send the ETag that "
                "you got with the record.",
                code="precondition_required",
            )


@contextmanager
def constraints_explained(collection: Collection) -> Iterator[None]:
    """Turn what the database refuses into what the client did."""
    try:
        yield
    except IntegrityError as error:
        raise broken_constraint(error, collection) from error


def check_owner_exists(connection: Connection, owner_id: UUID | None) -> None:
    """Refuse an owner who is not there, and keep one who is until the transaction ends.

    :raises Invalid: ``unknown_user``.
    """
    if owner_id is None:
        return
    user = select(USERS.c.id).where(USERS.c.id == owner_id)
    if connection.execute(user.with_for_update(read=True)).one_or_none() is None:
        raise _unknown_user()


def _not_as_seen(asked: pluggy.HookCaller | None) -> TinyBaseError:
    """Return the error for a record that is not there any more in the version that was seen.

    :param asked: the hook that was called since.
    """
    return written_meanwhile(asked) or version_mismatch("record", None)


def _unknown_user() -> Invalid:
    return Invalid([Fault(("query", "owner_id"), "There is no such user.", "unknown_user")])


def _content(record: RecordRow) -> dict[str, Any]:
    """Return the columns of a record that an update may change."""
    return {
        "owner_id": None if record.owner_id is None else str(record.owner_id),
        "data": as_text(record.data),
        "version": record.version,
        "updated_at": format_time(record.updated_at),
    }


def _id_conflict() -> Conflict:
    # Where that record is, and whether the caller may know of it, is not said.
    return Conflict(
        "There is a record with this id already; choose another id.", code="id_conflict"
    )


def broken_constraint(error: IntegrityError, collection: Collection) -> TinyBaseError:
    """Return what a client did, for what the database refused."""
    if "records.id" in str(error.orig) or "records_pkey" in str(error.orig):
        return _id_conflict()
    violation = unique_violation(error, collection.id, collection.compiled.specs.values())
    # Beside unique fields only the reference to the owner can break: it is the caller, who
    # was deleted after their token was checked.
    return violation or Unauthenticated("Your account is gone.", code="invalid_token")
