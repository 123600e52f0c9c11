"""Records in the form that answers carry, straight from the database.

What is stored is JSON text already, and so are ids and times on SQLite. Between the
database and the client nothing is made of them but the answer itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import chain
from typing import Any, NamedTuple
from uuid import UUID

import orjson
from sqlalchemy import ColumnElement, Engine, Text, bindparam, cast, func, select, type_coerce

from tinybase.actors import Actor
from tinybase.collections.access import Operation, check_owner, record_not_found
from tinybase.collections.collection import Collection
from tinybase.collections.compiled import CompiledSchema
from tinybase.collections.expressions import RECORDS
from tinybase.collections.record import RecordRow
from tinybase.collections.spec import FieldSpec
from tinybase.db import Database
from tinybase.db.types import Guid, Instant

COLUMNS = ("id", "owner_id", "data", "version", "created_at", "updated_at")
"""What a row of :func:`answered_columns` begins with; its collection is known already."""

_COUNT = len(COLUMNS)
_OWNER = COLUMNS.index("owner_id")
_DATA = COLUMNS.index("data")
_VERSION = COLUMNS.index("version")
_TIME = 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'


class AnsweredRecord(NamedTuple):
    """One record as JSON; ``version`` is what its entity tag says.

    One that ``is_redacted`` may be another for somebody else, or later, in the same version.
    """

    version: int
    content: bytes
    is_redacted: bool = False


class AnsweredRecords:
    """Finds single records and has them ready to be sent."""

    def __init__(self, database: Database) -> None:
        self._reader = database.reader
        self._by_id = self._reader.statement(
            select(*answered_columns(database.engine)).where(
                RECORDS.c.id == bindparam("record_id"),
                RECORDS.c.collection_id == bindparam("collection_id"),
            )
        )

    def find(
        self,
        actor: Actor,
        collection: Collection,
        record_id: UUID,
        specs: Mapping[str, FieldSpec] | None = None,
    ) -> AnsweredRecord:
        """Return a record that the actor may read, whom the rule admits.

        :param specs: only these fields of the data.
        :raises NotFound: when it is missing, or not the actor's to read.
        """
        key = {"record_id": str(record_id), "collection_id": str(collection.id)}
        row = self._reader.one(self._by_id, key)
        if row is None:
            raise record_not_found(record_id)
        if collection.rules.only_own(actor, Operation.READ):
            owner_id = None if row[_OWNER] is None else UUID(row[_OWNER])
            check_owner(collection.rules, actor, Operation.READ, owner_id, record_id)
        return AnsweredRecord(row[_VERSION], answered_text(collection, [row], specs).encode())


def answered_columns(engine: Engine, *more: str) -> list[ColumnElement[Any]]:
    """Return the columns of a record, as texts where an answer has texts.

    :param more: the names of those that a row ends with.
    """
    return [_as_text(engine, RECORDS.c[name]).label(name) for name in (*COLUMNS, *more)]


def answered_text(
    collection: Collection,
    rows: Sequence[Sequence[Any]],
    specs: Mapping[str, FieldSpec] | None = None,
) -> str:
    """Return rows that begin with :func:`answered_columns` as JSON objects, parted by commas.

    :param specs: only these fields of the data.
    """
    schema = collection.compiled
    if specs is None and schema.stored_as_shown([row[_DATA] for row in rows]):
        values = [row[:_COUNT] for row in rows]
    else:
        values = [_with_shown(schema, row[:_COUNT], specs) for row in rows]
    owned, unowned = _templates(collection.id)
    # All of them in one go: most of what a list takes is this.
    template = ",".join([unowned if row[_OWNER] is None else owned for row in rows])
    return template % tuple(chain.from_iterable(values))


def _with_shown(
    schema: CompiledSchema, row: Sequence[Any], specs: Mapping[str, FieldSpec] | None
) -> Sequence[Any]:
    """Return a row with its data as the API shows it."""
    data = row[_DATA]
    if specs is None and schema.stored_as_shown([data]):
        return row
    shown = orjson.dumps(schema.show(json.loads(data), specs)).decode()
    return [*row[:_DATA], shown, *row[_DATA + 1 :]]


def _templates(collection_id: UUID) -> tuple[str, str]:
    """Return what a record is in JSON that somebody owns, and one that nobody owns."""
    before = f'{{"id":"%s","collection_id":"{collection_id}","owner_id":'
    after = ',"data":%s,"version":%s,"created_at":"%s","updated_at":"%s"}'
    return f'{before}"%s"{after}', f"{before}null%.0s{after}"


def read_answered(
    collection: Collection, row: Sequence[Any], specs: Mapping[str, FieldSpec] | None = None
) -> RecordRow:
    """Return a row that begins with :func:`answered_columns` as code gets to see it.

    :param specs: only these fields of the data.
    """
    record_id, owner_id, data, version, created_at, updated_at = row[:_COUNT]
    return RecordRow(
        id=UUID(record_id),
        collection_id=collection.id,
        owner_id=None if owner_id is None else UUID(owner_id),
        data=collection.compiled.show(json.loads(data), specs),
        version=version,
        created_at=datetime.fromisoformat(created_at),
        updated_at=datetime.fromisoformat(updated_at),
    )


def _as_text(engine: Engine, column: ColumnElement[Any]) -> ColumnElement[Any]:
    if engine.dialect.name == "sqlite":
        return type_coerce(column, Text)
    if isinstance(column.type, Instant):
        return func.to_char(func.timezone("UTC", column), _TIME)
    if isinstance(column.type, Guid) or column.key == "data":
        return cast(column, Text)
    return column
