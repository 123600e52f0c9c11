"""Changing records inside a transaction."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, select
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from tinybase.actors import Actor
from tinybase.collections.access import Operation, check_owner, record_not_found
from tinybase.collections.collection import Collection
from tinybase.collections.compiled import Document, equal
from tinybase.collections.expressions import RECORDS, in_collection
from tinybase.collections.hooks import Hooks, tell_created, tell_deleted, tell_updated
from tinybase.collections.indexes import unique_violation
from tinybase.collections.preconditions import version_mismatch
from tinybase.collections.record import RecordRow, shown
from tinybase.db import Work, utcnow
from tinybase.db.models import User
from tinybase.errors import Conflict, Fault, Invalid, TinyBaseError, Unauthenticated

USERS = User.__table__


class Writing:
    """What one actor changes in one collection, in one transaction.

    Whether the rules admit the actor at all has been checked; whether they give them a
    certain record is checked here. The extensions are told after the commit.
    """

    def __init__(self, hooks: Hooks, work: Work, collection: Collection, actor: Actor) -> None:
        self.collection = collection
        self._hooks = hooks
        self._work = work
        self._actor = actor

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
        row = None if record_id is None else self._with_id(record_id)
        if row is not None:
            raise _id_conflict(self.collection, row)
        return self._insert(record_id or uuid7(), data, owner_id)

    def update(
        self,
        record_id: UUID,
        changes: Mapping[str, Any],
        *,
        owner_id: UUID | None = None,
        if_match: Container[int] | None = None,
    ) -> RecordRow:
        """Replace the given fields of a record."""
        row = self._existing(record_id)
        self._check(Operation.UPDATE, row, if_match)
        merged = self.collection.compiled.merge(row.data, changes)
        return self._overwrite(row, merged, owner_id)

    def replace(
        self, record_id: UUID, data: Mapping[str, Any], *, if_match: Container[int] | None = None
    ) -> RecordRow:
        """Replace a record whole."""
        row = self._existing(record_id)
        self._check(Operation.UPDATE, row, if_match)
        return self._overwrite(row, self.collection.compiled.load(data), None)

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
        if row is not None and row.collection_id == self.collection.id:
            self._check(Operation.UPDATE, row, if_match, only_new=only_new)
            whole = self.collection.compiled.load(data)
            return self._overwrite(row, whole, owner_id), False
        if not self.collection.rules.admits(self._actor, Operation.CREATE):
            raise record_not_found(record_id)
        self._check_precondition_given(if_match, only_new=only_new)
        if if_match is not None:
            raise version_mismatch("record", None)
        if row is not None:
            raise _id_conflict(self.collection, row)
        return self._insert(record_id, data, owner_id), True

    def delete(self, record_id: UUID, *, if_match: Container[int] | None = None) -> None:
        """Delete a record."""
        row = self._existing(record_id)
        self._check(Operation.DELETE, row, if_match)
        deleted = self._work.connection.execute(RECORDS.delete().where(*self._this(row)))
        if deleted.rowcount == 0:
            raise version_mismatch("record", None)
        tell_deleted(self._hooks, self._work, self.collection, [shown(self.collection, row)])

    def _insert(self, record_id: UUID, data: Mapping[str, Any], owner_id: UUID | None) -> RecordRow:
        check_owner_exists(self._work.connection, owner_id)
        now = utcnow()
        record = RecordRow(
            id=record_id,
            collection_id=self.collection.id,
            owner_id=owner_id or self._actor.user_id,
            data=self.collection.compiled.load(data),
            version=1,
            created_at=now,
            updated_at=now,
        )
        self._work.connection.execute(RECORDS.insert().values(record.columns()))
        tell_created(self._hooks, self._work, self.collection, record)
        return record

    def _overwrite(self, row: Row[Any], data: Document, owner_id: UUID | None) -> RecordRow:
        """Write a record in the place of the version that was looked at, if it differs."""
        check_owner_exists(self._work.connection, owner_id)
        before = shown(self.collection, row)
        after = replace(before, data=data, owner_id=owner_id or before.owner_id)
        if after.owner_id == before.owner_id and equal(data, before.data):
            return before
        after = replace(after, version=before.version + 1, updated_at=utcnow())
        values = after.columns()
        changed = {name: values[name] for name in ("owner_id", "data", "version", "updated_at")}
        written = self._work.connection.execute(
            RECORDS.update().where(*self._this(row)).values(changed)
        )
        if written.rowcount == 0:
            raise version_mismatch("record", None)
        tell_updated(self._hooks, self._work, self.collection, before, after)
        return after

    def _existing(self, record_id: UUID) -> Row[Any]:
        row = self._with_id(record_id)
        if row is None or row.collection_id != self.collection.id:
            raise record_not_found(record_id)
        return row

    def _with_id(self, record_id: UUID) -> Row[Any] | None:
        statement = select(RECORDS).where(RECORDS.c.id == record_id).with_for_update()
        return self._work.connection.execute(statement).one_or_none()

    def _this(self, seen: Row[Any]) -> tuple[ColumnElement[bool], ...]:
        """Return the condition for a record in the version that was looked at, and no other."""
        return (
            RECORDS.c.id == seen.id,
            in_collection(self.collection.id),
            RECORDS.c.version == seen.version,
        )

    def _check(
        self,
        operation: Operation,
        row: Row[Any],
        if_match: Container[int] | None,
        *,
        only_new: bool = False,
    ) -> None:
        """Refuse a caller who may not change this record, or has not seen it as it is."""
        rules = self.collection.rules
        check_owner(rules, self._actor, operation, row.owner_id, row.id)
        self._check_precondition_given(if_match, only_new=only_new)
        if only_new or (if_match is not None and row.version not in if_match):
            may_read = rules.admits_to(self._actor, Operation.READ, row.owner_id)
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
        raise _broken_constraint(error, collection) from error


def check_owner_exists(connection: Connection, owner_id: UUID | None) -> None:
    """Refuse an owner who is not there, and keep one who is until the transaction ends.

    :raises Invalid: ``unknown_user``.
    """
    if owner_id is None:
        return
    user = select(USERS.c.id).where(USERS.c.id == owner_id)
    if connection.execute(user.with_for_update(read=True)).one_or_none() is None:
        raise Invalid([Fault(("query", "owner_id"), "There is no such user.", "unknown_user")])


def _id_conflict(collection: Collection, row: Row[Any]) -> Conflict:
    where = "This" if row.collection_id == collection.id else "Another"
    return Conflict(
        f"{where} collection has a record with this id; choose another id.", code="id_conflict"
    )


def _broken_constraint(error: IntegrityError, collection: Collection) -> TinyBaseError:
    if "records.id" in str(error.orig) or "records_pkey" in str(error.orig):
        return Conflict(
            "There is a record with this id already; choose another id.", code="id_conflict"
        )
    violation = unique_violation(error, collection.id, collection.compiled.specs.values())
    # Beside unique fields only the reference to the owner can break: it is the caller, who
    # was deleted after their token was checked.
    return violation or Unauthenticated("Your account is gone.", code="invalid_token")
