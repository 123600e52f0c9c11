"""Record data in SQL: the one place that knows how an engine reads JSON.

An expression for a field is built from its name alone, which the schema has checked to be
letters, digits and underscores, and is the same text in queries and in indexes, so that
the engine finds the index. Values are never part of it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Engine,
    Float,
    Integer,
    Text,
    and_,
    bindparam,
    exists,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.types import TypeEngine

from tinybase.collections.spec import FieldSpec, Kind
from tinybase.db.models import Record
from tinybase.errors import ConfigError

RECORDS = Record.__table__


class Expressions(Protocol):
    """What has to be said differently to each engine."""

    def value(self, spec: FieldSpec) -> ColumnElement[Any]:
        """Return the value of a scalar field, SQL's NULL for null."""

    def bound(self, kind: Kind, value: Any) -> Any:
        """Return a stored value as it is bound to a statement."""

    def contains_text(self, text: ColumnElement[Any], part: str) -> ColumnElement[bool]:
        """Return whether a text has a part, with regard to case."""

    def starts_with(self, text: ColumnElement[Any], start: str) -> ColumnElement[bool]:
        """Return whether a text begins like this, with regard to case."""

    def has_item(
        self, spec: FieldSpec, text: str | None, number: float | None, word: str | None
    ) -> ColumnElement[bool]:
        """Return whether a list has a text, a number, or one of the words true and false."""

    def is_null(self, spec: FieldSpec) -> ColumnElement[bool]:
        """Return whether a field of any type is null or absent."""

    def ordered(self, value: ColumnElement[Any], *, descending: bool) -> ColumnElement[Any]:
        """Return a sort key that has nulls first when it ascends, and last when it descends."""

    def with_fields(self, specs: Sequence[FieldSpec]) -> ColumnElement[Any]:
        """Return the data of a record with some fields set to what they are when absent."""

    def indexed_value(self, spec: FieldSpec) -> str:
        """Return the text of :meth:`value` as the definition of an index needs it."""


def in_collection(collection_id: UUID) -> ColumnElement[bool]:
    """Return the condition that a record is in the collection.

    The id is written into the statement: only then may an engine use the indexes that are
    for this collection alone.
    """
    written: ColumnElement[bool] = RECORDS.c.collection_id == literal_column(f"'{collection_id}'")
    return written


class SqliteExpressions:
    """SQLite: ``json_extract``; texts compare by code point as they are."""

    def value(self, spec: FieldSpec) -> ColumnElement[Any]:
        """Return the value of a scalar field, SQL's NULL for null."""
        text = f"json_extract(records.data, {_path(spec)})"
        return literal_column(text, _SQLITE_TYPES.get(spec.kind, Text)())

    def bound(self, kind: Kind, value: Any) -> Any:
        """Return a stored value as it is bound to a statement."""
        return int(value) if kind is Kind.BOOLEAN else value

    def contains_text(self, text: ColumnElement[Any], part: str) -> ColumnElement[bool]:
        """Return whether a text has a part, with regard to case."""
        position: ColumnElement[int] = func.instr(text, part)
        return position > 0

    def starts_with(self, text: ColumnElement[Any], start: str) -> ColumnElement[bool]:
        """Return whether a text begins like this, with regard to case."""
        # The first condition is there for an index, which can begin at the right place.
        return and_(text >= start, func.substr(text, 1, func.length(start)) == start)

    def has_item(
        self, spec: FieldSpec, text: str | None, number: float | None, word: str | None
    ) -> ColumnElement[bool]:
        """Return whether a list has a text, a number, or one of the words true and false."""
        item = func.json_each(RECORDS.c.data, literal_column(_path(spec))).table_valued(
            "value", "type"
        )
        return exists(
            select(literal_column("1"))
            .select_from(item)
            .where(
                or_(
                    and_(
                        item.c.type == literal_column("'text'"), item.c.value == _bind(text, Text)
                    ),
                    and_(
                        item.c.type.in_([literal_column("'integer'"), literal_column("'real'")]),
                        item.c.value == _bind(number, Float),
                    ),
                    item.c.type == _bind(word, Text),
                )
            )
        )

    def is_null(self, spec: FieldSpec) -> ColumnElement[bool]:
        """Return whether a field of any type is null or absent."""
        return self.value(spec).is_(None)

    def ordered(self, value: ColumnElement[Any], *, descending: bool) -> ColumnElement[Any]:
        """Return a sort key; SQLite has nulls where we want them."""
        return value.desc() if descending else value.asc()

    def with_fields(self, specs: Sequence[FieldSpec]) -> ColumnElement[Any]:
        """Return the data of a record with some fields set to what they are when absent."""
        data: ColumnElement[Any] = RECORDS.c.data
        for spec in specs:
            absent = json.dumps(spec.absent)
            data = func.json_set(data, literal_column(_path(spec)), func.json(absent))
        return data

    def indexed_value(self, spec: FieldSpec) -> str:
        """Return the text of the value without the table, which an index may not name."""
        return f"json_extract(data, {_path(spec)})"


_SQLITE_TYPES: dict[Kind, type[TypeEngine[Any]]] = {
    Kind.INTEGER: Integer,
    Kind.NUMBER: Float,
    Kind.BOOLEAN: Integer,
}


def _path(spec: FieldSpec) -> str:
    return f"'$.\"{spec.name}\"'"


def _bind(value: Any, type_: type[TypeEngine[Any]]) -> ColumnElement[Any]:
    return bindparam(None, value, type_=type_())


_EXPRESSIONS: Mapping[str, Expressions] = {"sqlite": SqliteExpressions()}


def expressions_of(engine: Engine) -> Expressions:
    """Return the expressions of an engine.

    :raises ConfigError: for an engine that cannot keep records yet.
    """
    name = engine.dialect.name
    if name not in _EXPRESSIONS:
        raise ConfigError(
            f"Records cannot be kept in {name} yet. Set database.url to an SQLite file, such as "
            "sqlite:///tinybase.db."
        )
    return _EXPRESSIONS[name]
