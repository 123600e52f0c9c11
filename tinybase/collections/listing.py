"""Answering lists of records: one page, its total, and where the next page begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Row

from tinybase.actors import Actor
from tinybase.collections.access import Operation
from tinybase.collections.collection import Collection
from tinybase.collections.expressions import expressions_of
from tinybase.collections.query import Query, QueryBuilder
from tinybase.collections.query_cursor import CursorCodec, scope_of
from tinybase.collections.query_keyset import Place
from tinybase.collections.query_scans import Scans, fields_without_index
from tinybase.collections.record import RecordPage, shown
from tinybase.collections.spec import FieldSpec
from tinybase.collections.terms import SortKey, Term
from tinybase.db import Database


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


class RecordLists:
    """The lists of one database."""

    def __init__(self, database: Database) -> None:
        self._scans = Scans(database)
        self._database = database
        self._queries = QueryBuilder(expressions_of(database.engine))

    def page(self, wanted: ListRequest) -> RecordPage:
        """Return the page that is wanted.

        :raises BadRequest: for a filter, an order or a cursor that the list does not have.
        """
        query = self._queries.build(
            wanted.collection, filters=wanted.filters, sort=wanted.sort, only_of=wanted.only_of
        )
        with self._database.connect() as connection:
            rows = self._rows(connection, wanted, query)
            total = connection.scalar(query.count) if wanted.count else None
        self._look_for_scans(wanted)
        # One more than was asked for tells whether there is a next page.
        page, is_last = rows[: wanted.limit], len(rows) <= wanted.limit
        return RecordPage(
            [shown(wanted.collection, row, wanted.specs) for row in page],
            total,
            wanted.limit,
            wanted.offset if wanted.cursor is None else None,
            None if is_last else _codec(wanted, query).write(query.place_of(page[-1]), page[-1].id),
        )

    def _look_for_scans(self, wanted: ListRequest) -> None:
        if wanted.only_of is None:
            missing = fields_without_index(wanted.collection, wanted.filters, wanted.sort)
            if missing:
                self._scans.notice(wanted.collection, missing)

    def _rows(self, connection: Connection, wanted: ListRequest, query: Query) -> list[Row[Any]]:
        most = wanted.limit + 1
        if wanted.cursor is None:
            return list(connection.execute(query.page(most, wanted.offset)))
        place = self._place(connection, wanted.cursor, query, _codec(wanted, query))
        rows: list[Row[Any]] = []
        for statement in query.pages_after(place):
            if len(rows) < most:
                rows += connection.execute(statement.limit(most - len(rows)))
        return rows

    def _place(self, connection: Connection, text: str, query: Query, codec: CursorCodec) -> Place:
        cursor = codec.read(text)
        if cursor.record_id is None:
            return self._queries.place(query.keys, cursor.values)
        row = connection.execute(query.one(cursor.record_id)).one_or_none()
        return codec.check(cursor, None if row is None else query.place_of(row))


def _codec(wanted: ListRequest, query: Query) -> CursorCodec:
    scope = scope_of(wanted.collection.id, wanted.actor, wanted.filters, wanted.sort)
    return CursorCodec(scope, query.keys)
