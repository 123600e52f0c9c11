"""Records in the form that answers carry, straight from the database.

What is stored is JSON text already, and so are ids and times on SQLite. Between the
database and the client nothing is made of them but the answer itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
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

COLUMNS = ("id", "collection_id", "owner_id", "data", "version", "created_at", "updated_at")
"""What a row of :func:`answered_columns` has, in its order."""

_COUNT = len(COLUMNS)
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
            owner_id = None if row[2] is None else UUID(row[2])
            check_owner(collection.rules, actor, Operation.READ, owner_id, record_id)
        return answered(collection.compiled, row, specs)


def answered_columns(engine: Engine) -> list[ColumnElement[Any]]:
    """Return the columns of a record, as texts where an answer has texts."""
    return [_as_text(engine, RECORDS.c[name]).label(name) for name in COLUMNS]


def answered(
    schema: CompiledSchema, row: Sequence[Any], specs: Mapping[str, FieldSpec] | None = None
) -> AnsweredRecord:
    """Return a row of :func:`answered_columns` as the API shows it.

    :param specs: only these fields of the data.
    """
    return AnsweredRecord(row[_VERSION], answered_text(schema, row, specs).encode())


def answered_text(
    schema: CompiledSchema, row: Sequence[Any], specs: Mapping[str, FieldSpec] | None = None
) -> str:
    """Return a row that begins with :func:`answered_columns` as a JSON object.

    :param specs: only these fields of the data.
    """
    data = row[_DATA]
    if specs is not None or not schema.stored_as_shown((data,)):
        data = orjson.dumps(schema.show(json.loads(data), specs)).decode()
    return _object(row, data)


def answered_texts(
    schema: CompiledSchema,
    rows: Sequence[Sequence[Any]],
    specs: Mapping[str, FieldSpec] | None = None,
) -> list[str]:
    """Return what :func:`answered_text` does of each row."""
    if specs is None and schema.stored_as_shown([row[_DATA] for row in rows]):
        return [_object(row, row[_DATA]) for row in rows]
    return [answered_text(schema, row, specs) for row in rows]


def _object(row: Sequence[Any], data: str) -> str:
    record_id, collection_id, owner_id, _, version, created_at, updated_at = row[:_COUNT]
    owner = "null" if owner_id is None else f'"{owner_id}"'
    return (
        f'{{"id":"{record_id}","collection_id":"{collection_id}","owner_id":{owner},'
        f'"data":{data},"version":{version},'
        f'"created_at":"{created_at}","updated_at":"{updated_at}"}}'
    )


def read_answered(
    collection: Collection, row: Sequence[Any], specs: Mapping[str, FieldSpec] | None = None
) -> RecordRow:
    """Return a row that begins with :func:`answered_columns` as code gets to see it.

    :param specs: only these fields of the data.
    """
    record_id, collection_id, owner_id, data, version, created_at, updated_at = row[:_COUNT]
    return RecordRow(
        id=UUID(record_id),
        collection_id=UUID(collection_id),
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
