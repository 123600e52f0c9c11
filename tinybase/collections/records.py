"""Records: the one door to them, whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from typing import Any, TypeVar
from uuid import UUID

from sqlalchemy.exc import IntegrityError

from tinybase.actors import Actor
from tinybase.collections.access import Operation, refusal
from tinybase.collections.answered import AnsweredRecord, AnsweredRecords, read_answered
from tinybase.collections.attempt import Attempt
from tinybase.collections.batch import BatchOperation, BatchResult, Op, carry_out, told_of
from tinybase.collections.collection import Collection
from tinybase.collections.collections import Collections
from tinybase.collections.guarding import Host, check_guard
from tinybase.collections.guided import GuidedSight
from tinybase.collections.hooks import Audience
from tinybase.collections.listeners import Jury
from tinybase.collections.listing import AnsweredPage, ListRequest, RecordLists
from tinybase.collections.query import NEWEST_FIRST, chosen_fields
from tinybase.collections.record import RecordPage, RecordRow
from tinybase.collections.sight import Sight
from tinybase.collections.terms import SortKey, Term, check_sort, check_terms, parse_sort, terms_of
from tinybase.collections.writing import (
    Prepared,
    RecordStatements,
    Writing,
    broken_constraint,
    constraints_explained,
)
from tinybase.config import Config
from tinybase.db import Database
from tinybase.errors import Forbidden, Unauthenticated

__all__ = ["RecordPage", "RecordRow", "Records"]

DEFAULT_LIMIT = 100

T = TypeVar("T")


class Records:
    """The records of one database.

    Every method checks the access rules of the collection for the actor, and asks the
    extensions that have a say in it, so it does not matter which door a call comes through.
    A collection is given by its name, or as :meth:`admit` returned it for the same actor.
    """

    def __init__(
        self,
        database: Database,
        config: Config,  # noqa: ARG002 (all services are made from the same parts)
        host: Host,
        collections: Collections,
    ) -> None:
        self._database = database
        self._host = host
        self._audience = Audience(host)
        self._jury = Jury(host)
        self._collections = collections
        self._answered = AnsweredRecords(database)
        self._lists = RecordLists(database)
        self._statements = RecordStatements(database)

    def admit(self, actor: Actor, name: str, *operations: Operation) -> Sight:
        """Return what the actor may do and see in a collection, if they are admitted at all.

        That is as far as no record is looked at.

        :param operations: one of them is wanted; a refusal is about the first.
        :raises Unauthenticated: to somebody unknown who wants to change something.
        :raises Forbidden: to somebody whom the rule refuses.
        :raises NotFound: to somebody who may not know of the collection, or of none.
        :raises Unavailable: to all but admins, while the extension that guards it is away.
        """
        collection = self._collections.find(name)
        if collection is None:
            raise refusal(None, actor, operations[0], name)
        sight = self._sight(actor, collection)
        sight.admit(*operations)
        return sight

    def list(
        self,
        actor: Actor,
        collection: str | Sight,
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
        return self._lists.page(
            self._list_request(
                actor,
                collection,
                filters=filters,
                sort=sort,
                limit=limit,
                offset=offset,
                cursor=cursor,
                count=count,
                fields=fields,
            )
        )

    def answer_list(self, actor: Actor, collection: str | Sight, **page: Any) -> AnsweredPage:
        """Return what :meth:`list` does, in the form in which it is sent to a client.

        :param page: as :meth:`list` takes it.
        """
        return self._lists.answer(self._list_request(actor, collection, **page))

    def _list_request(
        self,
        actor: Actor,
        collection: str | Sight,
        *,
        filters: Mapping[str, Any] | Sequence[Term],
        sort: str | Sequence[SortKey],
        fields: Sequence[str] | None,
        **page: Any,
    ) -> ListRequest:
        sight = self._admitted(actor, collection, Operation.LIST)
        terms = terms_of(filters) if isinstance(filters, Mapping) else check_terms(filters)
        order = parse_sort(sort) if isinstance(sort, str) else check_sort(sort)
        sight.check_search(terms, order)
        specs = chosen_fields(sight.collection, fields)
        return ListRequest(sight=sight, filters=terms, sort=order, specs=specs, **page)

    def get(
        self,
        actor: Actor,
        collection: str | Sight,
        record_id: UUID,
        *,
        fields: Sequence[str] | None = None,
    ) -> RecordRow:
        """Return one record.

        :param fields: the fields of the data to return; all if not given.
        :raises NotFound: when it is missing, or not the actor's to read.
        """
        sight = self._admitted(actor, collection, Operation.READ)
        specs = chosen_fields(sight.collection, fields)
        return self._record(sight, record_id).only(specs)

    def answer(
        self,
        actor: Actor,
        collection: str | Sight,
        record_id: UUID,
        *,
        fields: Sequence[str] | None = None,
    ) -> AnsweredRecord:
        """Return what :meth:`get` does, in the form in which it is sent to a client."""
        sight = self._admitted(actor, collection, Operation.READ)
        specs = chosen_fields(sight.collection, fields)
        if sight.is_plain:
            return self._answered.find(actor, sight.collection, record_id, specs)
        record = self._record(sight, record_id).only(specs)
        return AnsweredRecord(record.version, record.as_json(), is_redacted=sight.redacts)

    def create(
        self,
        actor: Actor,
        collection: str | Sight,
        data: Mapping[str, Any],
        *,
        owner_id: UUID | None = None,
        hooks: bool = True,
    ) -> RecordRow:
        """Ask the extensions, store a new record, then tell them.

        :param owner_id: whose it is; for admins only. Else it is the actor's.
        :param hooks: without them no extension knows of it; so it is for all that writes.
        :raises Invalid: ``record_invalid`` with every fault of the data.
        :raises Conflict: ``unique_violation``.
        :raises Rejected: when an extension refuses it.
        """
        _check_may_give_away(actor, owner_id)

        def create(writing: Writing) -> RecordRow:
            return writing.sight.shown(writing.create(data, owner_id=owner_id))

        def create_as_seen(writing: Writing) -> RecordRow | None:
            return None if owner_id else writing.create_as_seen(data)

        return self._write(
            actor,
            collection,
            (Operation.CREATE,),
            create,
            as_seen=create_as_seen,
            whole=(data,),
            hooks=hooks,
        )

    def update(
        self,
        actor: Actor,
        collection: str | Sight,
        record_id: UUID,
        changes: Mapping[str, Any],
        *,
        owner_id: UUID | None = None,
        if_match: Container[int] | None = None,
        hooks: bool = True,
    ) -> RecordRow:
        """Replace the given fields of a record, keep the others, then tell the extensions.

        When nothing changes by it, nothing is written and nobody told.

        :param owner_id: whose it is from now on; for admins only.
        :raises Invalid: ``record_invalid`` with every fault of the whole record.
        :raises Conflict: ``unique_violation``.
        :raises PreconditionFailed: when the version is not one of ``if_match``.
        """
        _check_may_give_away(actor, owner_id)

        def update(writing: Writing) -> RecordRow:
            changed = writing.update(record_id, changes, owner_id=owner_id, if_match=if_match)
            return writing.sight.shown(changed)

        return self._write(actor, collection, (Operation.UPDATE,), update, hooks=hooks)

    def replace(
        self,
        actor: Actor,
        collection: str | Sight,
        record_id: UUID,
        data: Mapping[str, Any],
        *,
        owner_id: UUID | None = None,
        if_match: Container[int] | None = None,
        only_new: bool = False,
        hooks: bool = True,
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

        def put(writing: Writing) -> tuple[RecordRow, bool]:
            record, is_new = writing.put(
                record_id, data, owner_id=owner_id, if_match=if_match, only_new=only_new
            )
            return writing.sight.shown(record), is_new

        wanted = (Operation.UPDATE, Operation.CREATE)
        return self._write(actor, collection, wanted, put, whole=(data,), hooks=hooks)

    def delete(
        self,
        actor: Actor,
        collection: str | Sight,
        record_id: UUID,
        *,
        if_match: Container[int] | None = None,
        hooks: bool = True,
    ) -> None:
        """Delete a record, then tell the extensions.

        :raises PreconditionFailed: when the version is not one of ``if_match``.
        """

        def delete(writing: Writing) -> None:
            writing.delete(record_id, if_match=if_match)

        self._write(actor, collection, (Operation.DELETE,), delete, hooks=hooks)

    def batch(
        self,
        actor: Actor,
        collection: str | Sight,
        operations: Sequence[BatchOperation],
        *,
        hooks: bool = True,
    ) -> Sequence[BatchResult]:
        """Carry out several changes in their order, all or none, then tell the extensions.

        Each sees what those before it did, and the access rules hold for each of them.

        :raises TinyBaseError: of the first that fails, with its index as ``operation``.
        """

        def carry_all_out(writing: Writing) -> Sequence[BatchResult]:
            current, sight, admitted = writing.collection, writing.sight, set[Op]()
            results = []
            for index, operation in enumerate(operations):
                with told_of(index, operation), constraints_explained(current):
                    if operation.op not in admitted:
                        sight.admit(*operation.op.rules)
                        admitted.add(operation.op)
                    results.append(carry_out(writing, operation))
            return [each.shown(sight) for each in results]

        wanted = (Operation.CREATE, Operation.UPDATE, Operation.DELETE)
        whole = [each.data for each in operations if each.data is not None and each.op.is_whole]
        return self._write(
            actor, collection, wanted, carry_all_out, whole=whole, hooks=hooks, action="batch"
        )

    def _record(self, sight: Sight, record_id: UUID) -> RecordRow:
        find, collection = self._database.reader.one, sight.collection
        statement, values = self._lists.lookup(collection, sight.conditions(Operation.READ))
        row = find(statement, {**values, "record_id": str(record_id)})
        if row is None:
            raise sight.absent(Operation.READ, record_id)
        record = read_answered(collection, row)
        sight.check(find, Operation.READ, record)
        return sight.shown(record)

    def _admitted(self, actor: Actor, collection: str | Sight, *operations: Operation) -> Sight:
        if isinstance(collection, str):
            return self.admit(actor, collection, *operations)
        collection.admit(*operations)
        return collection

    def _sight(self, actor: Actor, collection: Collection) -> Sight:
        check_guard(self._host, actor, collection)
        deciders = self._jury.of(actor, collection)
        if deciders is None:
            return Sight(actor, collection)
        return GuidedSight(actor, collection, deciders, self._lists.lookup)

    def _write(
        self,
        actor: Actor,
        collection: str | Sight,
        operations: Sequence[Operation],
        change: Callable[[Writing], T],
        *,
        as_seen: Callable[[Writing], T | None] | None = None,
        whole: Iterable[Mapping[str, Any]] = (),
        hooks: bool = True,
        action: str | None = None,
    ) -> T:
        """Make a change in a transaction for a collection that stays as it is until its end.

        :param as_seen: does the same if the collection is still what it was, and else nothing;
            it is tried where nobody takes part.
        :param whole: the whole records that will be written.
        :param action: what the extensions are told that it was, should it fail.
        """
        sight = self._admitted(actor, collection, *operations)
        sight.ask_beforehand(*operations)
        seen = sight.collection
        prepared = Prepared(seen.compiled, whole)
        heard = self._audience.of(seen) if hooks else None
        attempt = Attempt(heard, seen, action or operations[0].value)
        is_shared = attempt.participants is not None or not sight.is_plain
        is_long = action is not None
        try:
            with self._database.write_raw(shared=is_shared, alone=is_long) as work:
                attempt.begin()
                writing = Writing(work, self._statements, sight, prepared, attempt)
                try:
                    if as_seen is not None and prepared.are_good and not is_shared:
                        made = as_seen(writing)
                        if made is not None:
                            return made
                    current = self._collections.current_raw(work, seen)
                    # It may have changed since it was seen, and its rules with it.
                    if current is not seen:
                        sight = self._sight(actor, current)
                        sight.admit(*operations)
                        writing = Writing(work, self._statements, sight, prepared, attempt)
                    return _made(change, writing)
                except IntegrityError as error:
                    raise broken_constraint(error, sight.collection) from error
        except Exception as error:
            attempt.failed(self._database, error)
            raise


def _made(change: Callable[[Writing], T], writing: Writing) -> T:
    if writing.sight.is_plain:
        return change(writing)
    # Who decides about the record may look, and write, where it is written.
    with writing.shared():
        return change(writing)


def _check_may_give_away(actor: Actor, owner_id: UUID | None) -> None:
    if owner_id is None or actor.is_admin:
        return
    if actor.is_anonymous:
        raise Unauthenticated("Sign in first.")
    raise Forbidden("Only an admin may say whose a record is.", code="admin_required")
