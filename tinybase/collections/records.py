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
from tinybase.collections.compiled import equal
from tinybase.collections.expressions import RECORDS, expressions_of, in_collection
from tinybase.collections.hooks import Hooks, tell_created, tell_deleted, tell_updated
from tinybase.collections.indexes import unique_violation
from tinybase.collections.preconditions import version_mismatch
from tinybase.collections.query import NEWEST_FIRST, QueryBuilder, chosen_fields
from tinybase.collections.record import RecordPage, RecordRow, shown
from tinybase.collections.terms import SortKey, Term, check_sort, check_terms, parse_sort, terms_of
from tinybase.config import Config
from tinybase.db import Database, Work, utcnow
from tinybase.db.models import User
from tinybase.errors import Fault, Forbidden, Invalid, TinyBaseError, Unauthenticated

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
        self._queries = QueryBuilder(expressions_of(database.engine))

    def admit(self, actor: Actor, name: str, operation: Operation) -> Collection:
        """Return a collection whose rule admits the actor, as far as no record is looked at.

        :raises Unauthenticated: to somebody unknown who wants to change something.
        :raises Forbidden: to somebody whom the rule refuses.
        :raises NotFound: to somebody who may not know of the collection, or of none.
        """
        return _admitted(self._collections.find(name), actor, operation, name)

    def list(
        self,
        actor: Actor,
        collection: str | Collection,
        *,
        filters: Mapping[str, Any] | Sequence[Term] = (),
        sort: str | Sequence[SortKey] = NEWEST_FIRST,
        limit: int = DEFAULT_LIMIT,
        offset: int = 0,
        count: bool = True,
        fields: Sequence[str] | None = None,
    ) -> RecordPage:
        """Return one page of the records that the actor may list.

        :param filters: terms, or a mapping such as ``{"status": "open", "n": {"gte": 3}}``.
        :param sort: keys, or a text such as ``"-price,created_at"``.
        :param count: count all that match, for ``total``.
        :param fields: the fields of the data to return; all if not given.
        :raises BadRequest: ``invalid_filter``, ``invalid_sort`` or ``invalid_fields``.
        """
        collection = self._admitted(actor, collection, Operation.LIST)
        specs = chosen_fields(collection, fields)
        query = self._queries.build(
            collection,
            filters=terms_of(filters) if isinstance(filters, Mapping) else check_terms(filters),
            sort=parse_sort(sort) if isinstance(sort, str) else check_sort(sort),
            limit=limit,
            offset=offset,
            only_of=actor.user_id if collection.rules.only_own(actor, Operation.LIST) else None,
        )
        with self._database.connect() as connection:
            rows = connection.execute(query.page).all()
            total = connection.scalar(query.count) if count else None
        records = [shown(collection, row, specs) for row in rows]
        return RecordPage(records, total, limit, offset)

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
            _check_owner_exists(work.connection, owner_id)
            now = utcnow()
            record = RecordRow(
                id=uuid7(),
                collection_id=current.id,
                owner_id=owner_id or actor.user_id,
                data=current.compiled.load(data),
                version=1,
                created_at=now,
                updated_at=now,
            )
            work.connection.execute(RECORDS.insert().values(record.columns()))
            tell_created(self._hooks, work, current, record)
        return record

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
            row = self._for_write(work, current, actor, Operation.UPDATE, record_id, if_match)
            _check_owner_exists(work.connection, owner_id)
            before = shown(current, row)
            merged = current.compiled.merge(row.data, changes)
            after = replace(before, data=merged, owner_id=owner_id or before.owner_id)
            if after.owner_id == before.owner_id and equal(merged, before.data):
                return before
            after = replace(after, version=before.version + 1, updated_at=utcnow())
            self._write(work.connection, current, before, after)
            tell_updated(self._hooks, work, current, before, after)
        return after

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
            row = self._for_write(work, current, actor, Operation.DELETE, record_id, if_match)
            deleted = work.connection.execute(RECORDS.delete().where(*_this(current, row)))
            if deleted.rowcount == 0:
                raise version_mismatch("record", None)
            tell_deleted(self._hooks, work, current, [shown(current, row)])

    def _admitted(
        self, actor: Actor, collection: str | Collection, operation: Operation
    ) -> Collection:
        if isinstance(collection, str):
            return self.admit(actor, collection, operation)
        return _admitted(collection, actor, operation, collection.name)

    @contextmanager
    def _writing(
        self, actor: Actor, collection: str | Collection, operation: Operation
    ) -> Iterator[tuple[Work, Collection]]:
        """Open a transaction for a collection that stays as it is until the end of it."""
        seen = self._admitted(actor, collection, operation)
        with self._database.write() as work:
            current = self._collections.current(work.connection, seen)
            # It may have changed since it was seen, and its rules with it.
            current = _admitted(current, actor, operation, seen.name)
            try:
                yield work, current
            except IntegrityError as error:
                raise _broken_constraint(error, current) from error

    def _for_write(
        self,
        work: Work,
        collection: Collection,
        actor: Actor,
        operation: Operation,
        record_id: UUID,
        if_match: Container[int] | None,
    ) -> Row[Any]:
        """Return a record that the actor may change, and has seen as it is."""
        row = _found(work.connection, collection, record_id, lock=True)
        check_owner(collection.rules, actor, operation, row.owner_id, record_id)
        if if_match is None:
            if collection.settings.require_if_match:
                raise TinyBaseError(
                    "This collection is changed with the header If-Match only; send the ETag "
                    "that you got with the record.",
                    code="precondition_required",
                )
        elif row.version not in if_match:
            may_read = collection.rules.admits_to(actor, Operation.READ, row.owner_id)
            raise version_mismatch("record", row.version if may_read else None)
        return row

    def _write(
        self, connection: Connection, collection: Collection, before: RecordRow, after: RecordRow
    ) -> None:
        written = connection.execute(
            RECORDS.update()
            .where(*_this(collection, before))
            .values(
                owner_id=after.owner_id,
                data=after.data,
                version=after.version,
                updated_at=after.updated_at,
            )
        )
        if written.rowcount == 0:
            raise version_mismatch("record", None)


def _admitted(
    collection: Collection | None, actor: Actor, operation: Operation, name: str
) -> Collection:
    if collection is not None and collection.rules.admits(actor, operation):
        return collection
    raise refusal(collection.rules if collection else None, actor, operation, name)


def _found(
    connection: Connection, collection: Collection, record_id: UUID, *, lock: bool = False
) -> Row[Any]:
    statement = select(RECORDS).where(RECORDS.c.id == record_id, in_collection(collection.id))
    row = connection.execute(statement.with_for_update() if lock else statement).one_or_none()
    if row is None:
        raise record_not_found(record_id)
    return row


def _this(collection: Collection, seen: Row[Any] | RecordRow) -> tuple[ColumnElement[bool], ...]:
    """Return the condition for a record in the version that was looked at, and no other."""
    return (
        RECORDS.c.id == seen.id,
        in_collection(collection.id),
        RECORDS.c.version == seen.version,
    )


def _broken_constraint(error: IntegrityError, collection: Collection) -> TinyBaseError:
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
