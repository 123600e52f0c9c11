"""Noticing lists that read a whole large collection because no index helps them.

The answer is right all the same. The operator is told once which field to index, in the log,
and ``tinybase doctor`` tells it again for as long as it is so.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from sqlalchemy import literal, select
from sqlalchemy.exc import SQLAlchemyError

from tinybase.collections.collection import Collection
from tinybase.collections.expressions import RECORDS, in_collection
from tinybase.collections.spec import FieldSpec
from tinybase.collections.terms import SortKey, Term
from tinybase.db import Database, tables, utcnow
from tinybase.db.reading import Reader
from tinybase.db.upsert import insert
from tinybase.errors import TinyBaseError

log = logging.getLogger(__name__)

SCANS = tables.unindexed_scans

LARGE = 10_000
"""From how many records on a collection is large."""

_NARROWING = frozenset({"eq", "in", "gt", "gte", "lt", "lte", "startswith"})
_INDEXED_COLUMNS = frozenset({"id", "owner_id", "created_at"})
_ASK_AGAIN_SECONDS = 60.0
_NEVER = float("inf")


def fields_without_index(
    collection: Collection, filters: Sequence[Term], sort: Sequence[SortKey]
) -> list[str]:
    """Return the fields any of which would have to be indexed to spare a list the whole way.

    These are fields of the filter, or if an index cannot help there the first one of the
    order. There are none for a list that an index narrows already.
    """
    narrowing = [term.field for term in filters if term.operator in _NARROWING]
    if any(_has_index(collection, name) for name in narrowing):
        return []
    missing = {spec.name for name in narrowing if (spec := _spec(collection, name))}
    if not missing and sort and not _has_index(collection, sort[0].field):
        missing = {spec.name for spec in [_spec(collection, sort[0].field)] if spec}
    return sorted(missing)


def _has_index(collection: Collection, name: str) -> bool:
    spec = _spec(collection, name)
    return name in _INDEXED_COLUMNS if spec is None else spec.wants_index


def _spec(collection: Collection, name: str) -> FieldSpec | None:
    """Return the declared field that a name means; a column of every record has none."""
    if name in RECORDS.c:
        return None
    return collection.compiled.specs.get(name.removeprefix("data."))


def scanned_fields(database: Database, collection: Collection) -> list[str]:
    """Return the fields that any process noticed lists to need.

    Those that have an index by now, or are no more, are left out.
    """
    statement = select(SCANS.c.field).where(SCANS.c.collection_id == collection.id)
    with database.connect() as connection:
        found = connection.scalars(statement.order_by(SCANS.c.field)).all()
    specs = collection.compiled.specs
    return [name for name in found if name in specs and not specs[name].wants_index]


class Scans:
    """Takes note of the scans of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ask_at: dict[tuple[object, str], float] = {}

    def reader(self, collection: Collection, missing: Sequence[str]) -> Reader:
        """Return what reads a list of the collection that lacks an index on these fields."""
        is_large = any(self._ask_at.get((collection.id, name)) == _NEVER for name in missing)
        return self._database.scanner if is_large else self._database.reader

    def notice(self, collection: Collection, names: Sequence[str]) -> None:
        """Take note that lists need the fields; whether the collection is large is seen here.

        It is looked at once a minute for each field, by a few steps in an index, until it is.
        """
        now = time.monotonic()
        due = [name for name in names if now >= self._ask_at.get((collection.id, name), 0)]
        if not due:
            return
        is_large = self._is_large(collection)
        for name in due:
            again = _NEVER if is_large else now + _ASK_AGAIN_SECONDS
            self._ask_at[collection.id, name] = again
        if is_large:
            self._database.soon(lambda: self._note(collection, due))

    def _is_large(self, collection: Collection) -> bool:
        one = select(literal(1)).select_from(RECORDS).where(in_collection(collection.id))
        last = one.order_by(RECORDS.c.created_at).offset(LARGE - 1).limit(1)
        with self._database.connect() as connection:
            return connection.scalar(last) is not None

    def _note(self, collection: Collection, names: Sequence[str]) -> None:
        for name in names:
            if self._is_new(collection, name):
                log.warning(
                    "a list of the collection %s was read from its first record to the last: "
                    'give its field %s "indexed": true',
                    collection.name,
                    name,
                )

    def _is_new(self, collection: Collection, name: str) -> bool:
        values = {"collection_id": collection.id, "field": name, "seen_at": utcnow()}
        try:
            with self._database.write() as work:
                noted = insert(work.connection, SCANS).values(values).on_conflict_do_nothing()
                told = work.connection.execute(noted.returning(SCANS.c.field))
                return told.one_or_none() is not None
        except (TinyBaseError, SQLAlchemyError):
            # A database that cannot be written to now is no reason to say nothing.
            return True
