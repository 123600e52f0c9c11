"""Records: the one door to them, whoever asks."""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Row, select
from sqlalchemy.exc import IntegrityError
from uuid_utils.compat import uuid7

from tinybase.actors import Actor
from tinybase.collections.access import Operation, check_owner, record_not_found, refusal
from tinybase.collections.collection import Collection
from tinybase.collections.collections import Collections
from tinybase.collections.compiled import Document, equal
from tinybase.collections.expressions import RECORDS, in_collection
from tinybase.collections.hooks import Hooks, tell_created, tell_deleted, tell_updated
from tinybase.collections.indexes import unique_violation
from tinybase.collections.listing import ListRequest, RecordLists
from tinybase.collections.preconditions import version_mismatch
from tinybase.collections.query import NEWEST_FIRST, chosen_fields
from tinybase.collections.record import RecordPage, RecordRow, shown
from tinybase.collections.terms import SortKey, Term, check_sort, check_terms, parse_sort, terms_of
from tinybase.config import Config
from tinybase.db import Database, Work, utcnow
from tinybase.db.models import User
from tinybase.errors import Conflict, Fault, Forbidden, Invalid, TinyBaseError, Unauthenticated

__all__ = ["RecordPage", "RecordRow", "Records"]

USERS = User.__table__

DEFAULT_LIMIT = 100


class Records:
    """The records of one database.

    Every method checks the access rules of the collection for the actor, so it does not
    matter which door a call comes through. A collection is given by its name, or as
    :meth:`Collections.get` returned it.
    """

    def __init__(
        self,
        database: Database,
        config: Config,  # noqa: ARG002 (all services are made from the same parts)
        hooks: Hooks,
        collections: Collections,
    ) -> None:
        self._database = database
        self._hooks = hooks
        self._collections = collections
        self._lists = RecordLists(database)

    def admit(self, actor: Actor, name: str, *operations: Operation) -> Collection:
        """Return a collection whose rule admits the actor, as far as no record is looked at.

        :param operations: one of them is wanted; a refusal is about the first.
        :raises Unauthenticated: to somebody unknown who wants to change something.
        :raises Forbidden: to somebody whom the rule refuses.
        :raises NotFound: to somebody who may not know of the collection, or of none.
        """
        return _admitted(self._collections.find(name), actor, operations, name)

    def list(
        self,
        actor: Actor,
        collection: str | Collection,
        *,
        filters: Mapping[str, Any] | Sequence[Term] = (),
        sort: str | Sequence[SortKey] = NEWEST_FIRST,
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        cursor: str | None = None,
        count: bool = True,
        fields: Sequence[str] | None = None,
    ) -> RecordPage:
        """Return one page of the records that the actor may list.

        :param filters: terms, or a mapping such as ``{"status": "open", "n": {"gte": 3}}``.
        :param sort: keys, or a text such as ``"-price,created_at"``.
        :param cursor: what ``next_cursor`` of the page before says; it takes the place of
            ``offset`` and belongs to the same actor, filters and sort.
        :param count: count all that match, for ``total``.
        :param fields: the fields of the data to return; all if not given.
        :raises BadRequest: ``invalid_filter``, ``invalid_sort``, ``invalid_fields`` or
            ``invalid_cursor``.
        """
        collection = self._admitted(actor, collection, Operation.LIST)
        wanted = ListRequest(
            actor=actor,
            collection=collection,
            filters=terms_of(filters) if isinstance(filters, Mapping) else check_terms(filters),
            sort=parse_sort(sort) if isinstance(sort, str) else check_sort(sort),
            limit=limit,
            offset=offset,
            cursor=cursor,
            count=count,
            specs=chosen_fields(collection, fields),
        )
        return self._lists.page(wanted)

    def get(
        self,
        actor: Actor,
        collection: str | Collection,
        record_id: UUID,
        *,
        fields: Sequence[str] | None = None,
    ) -> RecordRow:
        """Return one record.

        :param fields: the fields of the data to return; all if not given.
        :raises NotFound: when it is missing, or not the actor's to read.
        """
        collection = self._admitted(actor, collection, Operation.READ)
        specs = chosen_fields(collection, fields)
        with self._database.connect() as connection:
            row = _found(connection, collection, record_id)
        check_owner(collection.rules, actor, Operation.READ, row.owner_id, record_id)
        return shown(collection, row, specs)

    def create(
        self,
        actor: Actor,
        collection: str | Collection,
        data: Mapping[str, Any],
        *,
        owner_id: UUID | None = None,
    ) -> RecordRow:
        """Store a new record, then tell the extensions.

        :param owner_id: whose it is; for admins only. Else it is the actor's.
        :raises Invalid: ``record_invalid`` with every fault of the data.
        :raises Conflict: ``unique_violation``.
        """
        _check_may_give_away(actor, owner_id)
        with self._writing(actor, collection, Operation.CREATE) as (work, current):
            return self._insert(work, current, uuid7(), data, owner_id, actor)

    def update(
        self,
        actor: Actor,
        collection: str | Collection,
        record_id: UUID,
        changes: Mapping[str, Any],
        *,
        owner_id: UUID | None = None,
        if_match: Container[int] | None = None,
    ) -> RecordRow:
        """Replace the given fields of a record, keep the others, then tell the extensions.

        When nothing changes by it, nothing is written and nobody told.

        :param owner_id: whose it is from now on; for admins only.
        :raises Invalid: ``record_invalid`` with every fault of the whole record.
        :raises Conflict: ``unique_violation``.
        :raises PreconditionFailed: when the version is not one of ``if_match``.
        """
        _check_may_give_away(actor, owner_id)
        with self._writing(actor, collection, Operation.UPDATE) as (work, current):
            row = _found(work.connection, current, record_id, lock=True)
            _check_write(current, actor, Operation.UPDATE, row, if_match)
            merged = current.compiled.merge(row.data, changes)
            return self._overwrite(work, current, row, merged, owner_id)

    def replace(
        self,
        actor: Actor,
        collection: str | Collection,
        record_id: UUID,
        data: Mapping[str, Any],
        *,
        owner_id: UUID | None = None,
        if_match: Container[int] | None = None,
        only_new: bool = False,
    ) -> tuple[RecordRow, bool]:
        """Store a whole record under an id of the caller's choice, then tell the extensions.

        Return the record, and whether there was none before; where there was one, the rule
        for updates holds, else the one for creating.

        :param owner_id: whose it is from now on; for admins only.
        :param only_new: do not replace one that is there.
        :raises Invalid: ``record_invalid`` with every fault of the data.
        :raises Conflict: ``unique_violation``, or ``id_conflict`` when the id belongs to a
            record of another collection.
        :raises PreconditionFailed: when the version is not one of ``if_match``.
        """
        _check_may_give_away(actor, owner_id)
        wanted = (Operation.UPDATE, Operation.CREATE)
        with self._writing(actor, collection, *wanted) as (work, current):
            row = _with_id(work.connection, record_id)
            if row is not None and row.collection_id == current.id:
                _check_write(current, actor, Operation.UPDATE, row, if_match, only_new=only_new)
                whole = current.compiled.load(data)
                return self._overwrite(work, current, row, whole, owner_id), False
            if not current.rules.admits(actor, Operation.CREATE):
                raise record_not_found(record_id)
            _check_precondition_given(current, if_match, only_new=only_new)
            if if_match is not None:
                raise version_mismatch("record", None)
            if row is not None:
                raise _id_conflict()
            return self._insert(work, current, record_id, data, owner_id, actor), True

    def delete(
        self,
        actor: Actor,
        collection: str | Collection,
        record_id: UUID,
        *,
        if_match: Container[int] | None = None,
    ) -> None:
        """Delete a record, then tell the extensions.

        :raises PreconditionFailed: when the version is not one of ``if_match``.
        """
        with self._writing(actor, collection, Operation.DELETE) as (work, current):
            row = _found(work.connection, current, record_id, lock=True)
            _check_write(current, actor, Operation.DELETE, row, if_match)
            deleted = work.connection.execute(RECORDS.delete().where(*_this(current, row)))
            if deleted.rowcount == 0:
                raise version_mismatch("record", None)
            tell_deleted(self._hooks, work, current, [shown(current, row)])

    def _admitted(
        self, actor: Actor, collection: str | Collection, *operations: Operation
    ) -> Collection:
        if isinstance(collection, str):
            return self.admit(actor, collection, *operations)
        return _admitted(collection, actor, operations, collection.name)

    @contextmanager
    def _writing(
        self, actor: Actor, collection: str | Collection, *operations: Operation
    ) -> Iterator[tuple[Work, Collection]]:
        """Open a transaction for a collection that stays as it is until the end of it."""
        seen = self._admitted(actor, collection, *operations)
        with self._database.write() as work:
            current = self._collections.current(work.connection, seen)
            # It may have changed since it was seen, and its rules with it.
            current = _admitted(current, actor, operations, seen.name)
            try:
                yield work, current
            except IntegrityError as error:
                raise _broken_constraint(error, current) from error

    def _insert(
        self,
        work: Work,
        collection: Collection,
        record_id: UUID,
        data: Mapping[str, Any],
        owner_id: UUID | None,
        actor: Actor,
    ) -> RecordRow:
        _check_owner_exists(work.connection, owner_id)
        now = utcnow()
        record = RecordRow(
            id=record_id,
            collection_id=collection.id,
            owner_id=owner_id or actor.user_id,
            data=collection.compiled.load(data),
            version=1,
            created_at=now,
            updated_at=now,
        )
        work.connection.execute(RECORDS.insert().values(record.columns()))
        tell_created(self._hooks, work, collection, record)
        return record

    def _overwrite(
        self,
        work: Work,
        collection: Collection,
        row: Row[Any],
        data: Document,
        owner_id: UUID | None,
    ) -> RecordRow:
        """Write a record in the place of the version that was looked at, if it differs."""
        _check_owner_exists(work.connection, owner_id)
        before = shown(collection, row)
        after = replace(before, data=data, owner_id=owner_id or before.owner_id)
        if after.owner_id == before.owner_id and equal(data, before.data):
            return before
        after = replace(after, version=before.version + 1, updated_at=utcnow())
        values = after.columns()
        changed = {name: values[name] for name in ("owner_id", "data", "version", "updated_at")}
        written = work.connection.execute(
            RECORDS.update().where(*_this(collection, row)).values(changed)
        )
        if written.rowcount == 0:
            raise version_mismatch("record", None)
        tell_updated(self._hooks, work, collection, before, after)
        return after


def _admitted(
    collection: Collection | None, actor: Actor, operations: Sequence[Operation], name: str
) -> Collection:
    rules = collection.rules if collection else None
    if collection is None or not any(collection.rules.admits(actor, each) for each in operations):
        raise refusal(rules, actor, operations[0], name)
    return collection


def _check_write(
    collection: Collection,
    actor: Actor,
    operation: Operation,
    row: Row[Any],
    if_match: Container[int] | None,
    *,
    only_new: bool = False,
) -> None:
    """Refuse a caller who may not change this record, or has not seen it as it is."""
    check_owner(collection.rules, actor, operation, row.owner_id, row.id)
    _check_precondition_given(collection, if_match, only_new=only_new)
    if only_new or (if_match is not None and row.version not in if_match):
        may_read = collection.rules.admits_to(actor, Operation.READ, row.owner_id)
        raise version_mismatch("record", row.version if may_read else None)


def _check_precondition_given(
    collection: Collection, if_match: Container[int] | None, *, only_new: bool
) -> None:
    if collection.settings.require_if_match and if_match is None and not only_new:
        raise TinyBaseError(
            "This collection is changed with the header If-Match only; send the ETag that you "
            "got with the record.",
            code="precondition_required",
        )


def _found(
    connection: Connection, collection: Collection, record_id: UUID, *, lock: bool = False
) -> Row[Any]:
    statement = select(RECORDS).where(RECORDS.c.id == record_id, in_collection(collection.id))
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise record_not_found(record_id)
    return row


def _with_id(connection: Connection, record_id: UUID) -> Row[Any] | None:
    statement = select(RECORDS).where(RECORDS.c.id == record_id).with_for_update()
    return connection.execute(statement).one_or_none()


def _this(collection: Collection, seen: Row[Any]) -> tuple[ColumnElement[bool], ...]:
    """Return the condition for a record in the version that was looked at, and no other."""
    return (
        RECORDS.c.id == seen.id,
        in_collection(collection.id),
        RECORDS.c.version == seen.version,
    )


def _id_conflict() -> Conflict:
    return Conflict(
        "Another collection has a record with this id; choose another id.", code="id_conflict"
    )


def _broken_constraint(error: IntegrityError, collection: Collection) -> TinyBaseError:
    if "records.id" in str(error.orig) or "records_pkey" in str(error.orig):
        return _id_conflict()
    violation = unique_violation(error, collection.id, collection.compiled.specs.values())
    # Beside unique fields only the reference to the owner can break: it is the caller, who
    # was deleted after their token was checked.
    return violation or Unauthenticated("Your account is gone.", code="invalid_token")


def _check_may_give_away(actor: Actor, owner_id: UUID | None) -> None:
    if owner_id is None or actor.is_admin:
        return
    if actor.is_anonymous:
        raise Unauthenticated("Sign in first.")
    raise Forbidden("Only an admin may say whose a record is.", code="admin_required")


def _check_owner_exists(connection: Connection, owner_id: UUID | None) -> None:
    if owner_id is None:
        return
    user = select(USERS.c.id).where(USERS.c.id == owner_id)
    if connection.execute(user.with_for_update(read=True)).one_or_none() is None:
        raise Invalid([Fault(("query", "owner_id"), "There is no such user.", "unknown_user")])
