"""Record data in SQL: the one place that knows how an engine reads JSON.

An expression for a field is built from its name alone, which the schema has checked to be
letters, digits and underscores, and is the same text in queries and in indexes, so that
the engine finds the index. Values are never part of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import BindParameter, ColumnElement, Engine, literal_column

from tinybase.collections.on_postgresql import PostgresqlExpressions
from tinybase.collections.on_sqlite import SqliteExpressions
from tinybase.collections.spec import FieldSpec, Kind
from tinybase.db import tables

RECORDS = tables.records

Parameter = BindParameter[Any]
"""Stands for a value in the text of a statement."""


class Expressions(Protocol):
    """What has to be said differently to each engine."""

    def value(self, spec: FieldSpec) -> ColumnElement[Any]:
        """Return the value of a scalar field, SQL's NULL for null."""

    def bound(self, kind: Kind, value: Any) -> Any:
        """Return a stored value as it is bound to a statement."""

    def bound_column(self, value: UUID | datetime | int) -> Any:
        """Return a value of a column as it is bound to a statement."""

    def contains_text(self, text: ColumnElement[Any], part: Parameter) -> ColumnElement[bool]:
        """Return whether a text has a part, with regard to case."""

    def starts_with(self, text: ColumnElement[Any], start: Parameter) -> ColumnElement[bool]:
        """Return whether a text begins like this, with regard to case."""

    def has_item(
        self, spec: FieldSpec, text: Parameter, number: Parameter, word: Parameter
    ) -> ColumnElement[bool]:
        """Return whether a list has a text, a number, or one of the words true and false."""

    def sieved(self, part: Parameter, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        """Return a condition that can hold only where the JSON has a part.

        Where it has not, which is quick to see, the condition is not looked at.
        """

    def is_null(self, spec: FieldSpec) -> ColumnElement[bool]:
        """Return whether a field of any type is null or absent."""

    def is_absent(self, spec: FieldSpec) -> ColumnElement[bool]:
        """Return whether the data does not have a field at all."""

    def differs(self, spec: FieldSpec) -> ColumnElement[bool]:
        """Return whether a field is not what :meth:`with_fields` sets it to; it may be absent."""

    def ordered(self, value: ColumnElement[Any], *, descending: bool) -> ColumnElement[Any]:
        """Return a sort key that has nulls first when it ascends, and last when it descends."""

    def with_fields(self, specs: Sequence[FieldSpec]) -> ColumnElement[Any]:
        """Return the data of a record with some fields set to what they are when absent."""

    def index_keys(self, spec: FieldSpec) -> str:
        """Return what an index on :meth:`value` begins with, as its definition needs it."""


def in_collection(collection_id: UUID) -> ColumnElement[bool]:
    """Return the condition that a record is in the collection.

    The id is written into the statement: only then may an engine use the indexes that are
    for this collection alone.
    """
    written: ColumnElement[bool] = RECORDS.c.collection_id == literal_column(f"'{collection_id}'")
    return written


_EXPRESSIONS: Mapping[str, Expressions] = {
    "postgresql": PostgresqlExpressions(),
    "sqlite": SqliteExpressions(),
}


def expressions_of(engine: Engine) -> Expressions:
    """Return the expressions of an engine."""
    return _EXPRESSIONS[engine.dialect.name]
