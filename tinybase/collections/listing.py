"""Answering lists of records: one page, its total, and where the next page begins."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from tinybase.actors import Actor
from tinybase.collections.access import Operation
from tinybase.collections.answered import answered_columns, answered_text, read_answered
from tinybase.collections.collection import Collection
from tinybase.collections.expressions import expressions_of
from tinybase.collections.query import QueryBuilder, shape_of
from tinybase.collections.query_cursor import CursorCodec, scope_of
from tinybase.collections.query_keyset import Place, bound_place, nulls_of
from tinybase.collections.query_plan import ListPlan
from tinybase.collections.query_scans import Scans, fields_without_index
from tinybase.collections.record import RecordPage
from tinybase.collections.spec import FieldSpec
from tinybase.collections.terms import SortKey, Term
from tinybase.db import Database

_MOST_PLANS = 1_000

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """A list that an actor may see, and the page of it that is wanted.

    ``cursor`` takes the place of ``offset``; ``specs`` are the fields to show, ``None`` is
    all of them.
    """

    actor: Actor
    collection: Collection
    filters: Sequence[Term]
    sort: Sequence[SortKey]
    limit: int
    offset: int
    cursor: str | None
    count: bool
    specs: Mapping[str, FieldSpec] | None

    @property
    def only_of(self) -> UUID | None:
        """Return whose records the list is limited to."""
        own = self.collection.rules.only_own(self.actor, Operation.LIST)
        return self.actor.user_id if own else None


@dataclass(frozen=True, slots=True)
class _Found:
    rows: Sequence[tuple[Any, ...]]
    total: int | None
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class AnsweredPage:
    """One page as JSON; ``next_cursor`` is ``None`` when nothing comes after it."""

    content: bytes
    next_cursor: str | None


class RecordLists:
    """The lists of one database."""

    def __init__(self, database: Database) -> None:
        self._scans = Scans(database)
        self._reader = database.reader
        self._columns = answered_columns(database.engine)
        self._queries = QueryBuilder(expressions_of(database.engine), self._columns)
        self._plans: dict[Hashable, ListPlan] = {}

    def page(self, wanted: ListRequest) -> RecordPage:
        """Return the page that is wanted.

        :raises BadRequest: for a filter, an order or a cursor that the list does not have.
        """
        found = self._find(wanted)
        return RecordPage(
            [read_answered(wanted.collection, row, wanted.specs) for row in found.rows],
            found.total,
            wanted.limit,
            wanted.offset if wanted.cursor is None else None,
            found.next_cursor,
        )

    def answer(self, wanted: ListRequest) -> AnsweredPage:
        """Return what :meth:`page` does, in the form in which it is sent to a client.

        :raises BadRequest: as :meth:`page` does.
        """
        found = self._find(wanted)
        schema, specs = wanted.collection.compiled, wanted.specs
        records = ",".join([answered_text(schema, row, specs) for row in found.rows])
        rest = {
            "total": found.total,
            "limit": wanted.limit,
            "offset": wanted.offset if wanted.cursor is None else None,
            "next_cursor": found.next_cursor,
        }
        content = b'{"records":[%b],%b' % (records.encode(), orjson.dumps(rest)[1:])
        return AnsweredPage(content, found.next_cursor)

    def _find(self, wanted: ListRequest) -> _Found:
        plan = self._plan(wanted)
        values = plan.query.bound(wanted.filters, wanted.only_of)
        rows = self._rows(wanted, plan, values)
        total = self._reader.rows(plan.count, values)[0][0] if wanted.count else None
        if plan.missing:
            self._scans.notice(wanted.collection, plan.missing)
        # One more than was asked for tells whether there is a next page.
        page, is_last = rows[: wanted.limit], len(rows) <= wanted.limit
        if is_last:
            return _Found(page, total, None)
        next_cursor = _codec(wanted, plan).write(plan.place_of(page[-1]), page[-1][0])
        return _Found(page, total, next_cursor)

    def _plan(self, wanted: ListRequest) -> ListPlan:
        """Return how to go about the list: as about any that differs in its values only."""
        collection, only_own = wanted.collection, wanted.only_of is not None
        key = (
            collection.id,
            collection.compiled,
            shape_of(wanted.filters),
            tuple(wanted.sort),
            only_own,
        )
        plan = self._plans.get(key)
        if plan is None:
            query = self._queries.build(
                collection, filters=wanted.filters, sort=wanted.sort, only_own=only_own
            )
            missing = fields_without_index(collection, wanted.filters, wanted.sort)
            plan = ListPlan(self._reader, query, [] if only_own else missing)
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            self._plans[key] = plan
        return plan

    def _rows(self, wanted: ListRequest, plan: ListPlan, values: Mapping[str, Any]) -> Rows:
        most = wanted.limit + 1
        if wanted.cursor is None:
            page = {**values, "limit": most, "offset": wanted.offset}
            return self._reader.rows(plan.page, page)
        place = self._place(wanted, wanted.cursor, plan, values)
        values = {**values, **bound_place(plan.query.keys, place)}
        rows: Rows = []
        for statement in plan.after(nulls_of(place)):
            if len(rows) < most:
                rows += self._reader.rows(statement, {**values, "limit": most - len(rows)})
        return rows

    def _place(
        self, wanted: ListRequest, text: str, plan: ListPlan, values: Mapping[str, Any]
    ) -> Place:
        codec, keys = _codec(wanted, plan), plan.query.keys
        cursor = codec.read(text)
        if cursor.record_id is None:
            return self._queries.place(keys, cursor.values)
        row = self._reader.one(plan.one, {**values, "record_id": str(cursor.record_id)})
        found = codec.check(cursor, None if row is None else plan.place_of(row))
        return self._queries.place_found(keys, found)


def _codec(wanted: ListRequest, plan: ListPlan) -> CursorCodec:
    scope = scope_of(wanted.collection.id, wanted.actor, wanted.filters, wanted.sort)
    return CursorCodec(scope, plan.query.keys)
