"""The indexes on declared fields, one for each that is ``indexed`` or ``unique``."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from uuid import UUID

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

from tinybase.collections.expressions import Expressions
from tinybase.collections.spec import FieldSpec
from tinybase.errors import Conflict

Definitions = Mapping[str, str]
"""Names of indexes, each with the statement that makes it."""


def wanted_indexes(
    expressions: Expressions, collection_id: UUID, specs: Iterable[FieldSpec]
) -> dict[str, str]:
    """Return the statements that make the indexes on the fields, by the names of these."""
    return {
        _name(collection_id, spec): _definition(expressions, collection_id, spec)
        for spec in specs
        if spec.wants_index
    }


def sync_indexes(connection: Connection, old: Definitions, new: Definitions) -> None:
    """Drop the indexes that a schema change makes superfluous, and create the new ones."""
    for name, definition in old.items():
        if new.get(name) != definition:
            connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")
    for name, definition in new.items():
        if old.get(name) != definition:
            connection.exec_driver_sql(definition)


def unique_violation(
    error: IntegrityError, collection_id: UUID, specs: Iterable[FieldSpec]
) -> Conflict | None:
    """Return the error for a value that another record has, if that is what happened."""
    text = str(error.orig)
    for spec in specs:
        if spec.unique and _name(collection_id, spec) in text:
            return Conflict(
                f"Another record has this value of '{spec.name}'; it must be unique.",
                code="unique_violation",
                field=spec.name,
            )
    if re.search(r"\bux_records_[0-9a-f]{24}", text):
        # The index of a schema that is about to be there.
        return Conflict(
            "Another record has this value of a field that is becoming unique.",
            code="unique_violation",
        )
    return None


def _definition(expressions: Expressions, collection_id: UUID, spec: FieldSpec) -> str:
    kind = "UNIQUE INDEX" if spec.unique else "INDEX"
    # The rest of the total order lets a list that is sorted by the field come straight out
    # of the index.
    order = "" if spec.unique else ", created_at, id"
    return (
        f"CREATE {kind} {_name(collection_id, spec)} "
        f"ON records ({expressions.index_keys(spec)}{order}) "
        f"WHERE collection_id = '{collection_id}'"
    )


def _name(collection_id: UUID, spec: FieldSpec) -> str:
    # Short enough for every engine, and different for names that differ in case only.
    digest = hashlib.sha256(f"{collection_id}/{spec.name}".encode()).hexdigest()[:24]
    return f"{'ux' if spec.unique else 'ix'}_records_{digest}"
