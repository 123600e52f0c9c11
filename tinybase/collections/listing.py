"""Answering lists of records: one page, its total, and where the next page begins."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

import orjson

from tinybase.collections.access import Operation
from tinybase.collections.answered import answered_columns, answered_text, read_answered
from tinybase.collections.collection import Collection
from tinybase.collections.expressions import expressions_of
from tinybase.collections.query import NEWEST_FIRST, QueryBuilder, shape_of
from tinybase.collections.query_cursor import CursorCodec, scope_of
from tinybase.collections.query_keyset import Place, bound_place, nulls_of
from tinybase.collections.query_plan import ListPlan
from tinybase.collections.query_scans import Scans, fields_without_index
from tinybase.collections.record import RecordPage, RecordRow
from tinybase.collections.sight import Sight
from tinybase.collections.spec import FieldSpec
from tinybase.collections.terms import Condition, SortKey, Term
from tinybase.db import Database
from tinybase.db.reading import Reader, Statement
from tinybase.db.totals import Totals
from tinybase.errors import BadRequest

_MOST_PLANS = 1_000

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class ListRequest:
    """A list that somebody may see, and the page of it that is wanted.

    ``cursor`` takes the place of ``offset``; ``specs`` are the fields to show, ``None`` is
    all of them.
    """

    sight: Sight
    filters: Sequence[Term]
    sort: Sequence[SortKey]
    limit: int
    offset: int
    cursor: str | None
    count: bool
    specs: Mapping[str, FieldSpec] | None

    @property
    def collection(self) -> Collection:
        """Return the collection whose records are listed."""
        return self.sight.collection


class _Found(NamedTuple):
    rows: Sequence[tuple[Any, ...]]
    total: int | None
    next_cursor: str | None


class AnsweredPage(NamedTuple):
    """One page as JSON; ``next_cursor`` is ``None`` when nothing comes after it."""

    content: bytes
    next_cursor: str | None


class RecordLists:
    """The lists of one database."""

    def __init__(self, database: Database) -> None:
        self._scans = Scans(database)
        self._reader = database.reader
        self._totals = Totals(database)
        self._columns = answered_columns(database.engine)
        self._queries = QueryBuilder(expressions_of(database.engine), self._columns)
        self._plans: dict[Hashable, ListPlan] = {}

    def page(self, wanted: ListRequest) -> RecordPage:
        """Return the page that is wanted.

        :raises BadRequest: for a filter, an order or a cursor that the list does not have.
        """
        found = self._find(wanted)
        return RecordPage(
            [_record(wanted, row) for row in found.rows],
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
        records = _as_json(wanted, found.rows)
        rest = {
            "total": found.total,
            "limit": wanted.limit,
            "offset": wanted.offset if wanted.cursor is None else None,
            "next_cursor": found.next_cursor,
        }
        content = b'{"records":[%b],%b' % (records.encode(), orjson.dumps(rest)[1:])
        return AnsweredPage(content, found.next_cursor)

    def lookup(
        self, collection: Collection, conditions: Sequence[Condition]
    ) -> tuple[Statement, dict[str, Any]]:
        """Return the statement for one record, if it meets the conditions, and its parameters.

        The parameter ``record_id`` is left to the caller.

        :raises TinyBaseError: for a condition that the collection cannot have.
        """
        plan, values = self._planned(collection, (), NEWEST_FIRST, conditions, None)
        return plan.one, values

    def _find(self, wanted: ListRequest) -> _Found:
        sight = wanted.sight
        only_of, conditions = sight.only_of(Operation.LIST), sight.conditions(Operation.LIST)
        plan, values = self._planned(
            sight.collection, wanted.filters, wanted.sort, conditions, only_of
        )
        reader = self._scans.reader(wanted.collection, plan.missing)
        rows = self._rows(wanted, plan, values, reader)
        total = self._total(wanted, plan, values, reader, len(rows)) if wanted.count else None
        if plan.missing:
            self._scans.notice(wanted.collection, plan.missing)
        # One more than was asked for tells whether there is a next page.
        page, is_last = rows[: wanted.limit], len(rows) <= wanted.limit
        if is_last:
            return _Found(page, total, None)
        next_cursor = _codec(wanted, plan).write(plan.place_of(page[-1]), page[-1][0])
        return _Found(page, total, next_cursor)

    def _total(
        self,
        wanted: ListRequest,
        plan: ListPlan,
        values: Mapping[str, Any],
        reader: Reader,
        found: int,
    ) -> int:
        """Return how many records the list has; one that fits on a page has been counted."""
        if wanted.cursor is None and not wanted.offset and found <= wanted.limit:
            return found
        return self._totals.of(reader, plan.count, values)

    def _planned(
        self,
        collection: Collection,
        filters: Sequence[Term],
        sort: Sequence[SortKey],
        conditions: Sequence[Condition],
        only_of: UUID | None,
    ) -> tuple[ListPlan, dict[str, Any]]:
        """Return how to go about a list, and the parameters of its statements.

        :raises BadRequest: for what the list does not have.
        :raises TinyBaseError: for a condition that the collection cannot have.
        """
        terms = _all_terms(filters, conditions)
        try:
            plan = self._plan(collection, terms, sort, only_own=only_of is not None)
            return plan, plan.query.bound(terms, only_of)
        except BadRequest:
            _blame(self._queries, collection, conditions)
            raise

    def _plan(
        self,
        collection: Collection,
        filters: Sequence[Term],
        sort: Sequence[SortKey],
        *,
        only_own: bool,
    ) -> ListPlan:
        """Return how to go about the list: as about any that differs in its values only."""
        key = (collection.compiled, shape_of(filters), tuple(sort), only_own)
        plan = self._plans.get(key)
        if plan is None:
            query = self._queries.build(collection, filters=filters, sort=sort, only_own=only_own)
            missing = fields_without_index(collection, filters, sort)
            plan = ListPlan(self._reader, query, [] if only_own else missing)
            if len(self._plans) >= _MOST_PLANS:
                self._plans.clear()
            self._plans[key] = plan
        return plan

    def _rows(
        self, wanted: ListRequest, plan: ListPlan, values: Mapping[str, Any], reader: Reader
    ) -> Rows:
        most = wanted.limit + 1
        if wanted.cursor is None:
            page = {**values, "limit": most, "offset": wanted.offset}
            return reader.rows(plan.page, page)
        place = self._place(wanted, wanted.cursor, plan, values)
        values = {**values, **bound_place(plan.query.keys, place)}
        rows: Rows = []
        for statement in plan.after(nulls_of(place)):
            if len(rows) < most:
                rows += reader.rows(statement, {**values, "limit": most - len(rows)})
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
    # What extensions want met is not in it: that holds for every page anew, and may be a
    # moment of time, which is another one for each.
    scope = scope_of(wanted.collection.id, wanted.sight.actor, wanted.filters, wanted.sort)
    return CursorCodec(scope, plan.query.keys)


def _all_terms(filters: Sequence[Term], conditions: Sequence[Condition]) -> Sequence[Term]:
    if not conditions:
        return filters
    return [*filters, *(term for condition in conditions for term in condition.terms)]


def _blame(queries: QueryBuilder, collection: Collection, conditions: Sequence[Condition]) -> None:
    """Tell a fault in what extensions want met from one of the client."""
    for condition in conditions:
        try:
            queries.build(collection, filters=condition.terms).bound(condition.terms, None)
        except BadRequest as error:
            condition.refuse(error)


def _record(wanted: ListRequest, row: Sequence[Any]) -> RecordRow:
    if wanted.sight.is_plain:
        return read_answered(wanted.collection, row, wanted.specs)
    # What is redacted must not depend on which fields were asked for.
    return wanted.sight.shown(read_answered(wanted.collection, row)).only(wanted.specs)


def _as_json(wanted: ListRequest, rows: Sequence[Sequence[Any]]) -> str:
    """Return records as JSON objects, parted by commas."""
    if wanted.sight.is_plain:
        return answered_text(wanted.collection, rows, wanted.specs)
    return ",".join([_record(wanted, row).as_json().decode() for row in rows])
