"""Record data in SQL, as SQLite reads JSON."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Float,
    Integer,
    Text,
    and_,
    exists,
    func,
    literal_column,
    or_,
    select,
)
from sqlalchemy.types import TypeEngine

from tinybase.collections.spec import FieldSpec, Kind
from tinybase.db import tables
from tinybase.db.types import format_time

RECORDS = tables.records


class SqliteExpressions:
    """SQLite: ``json_extract``; texts compare by code point as they are."""

    def value(self, spec: FieldSpec) -> ColumnElement[Any]:
        """Return the value of a scalar field, SQL's NULL for null."""
        text = f"json_extract(records.data, {_path(spec)})"
        return literal_column(text, _SQLITE_TYPES.get(spec.kind, Text)())

    def bound(self, kind: Kind, value: Any) -> Any:
        """Return a stored value as it is bound to a statement."""
        return int(value) if kind is Kind.BOOLEAN else value

    def bound_column(self, value: UUID | datetime | int) -> Any:
        """Return a value of a column as it is bound to a statement."""
        if isinstance(value, datetime):
            return format_time(value)
        return str(value) if isinstance(value, UUID) else value

    def contains_text(
        self, text: ColumnElement[Any], part: BindParameter[Any]
    ) -> ColumnElement[bool]:
        """Return whether a text has a part, with regard to case."""
        position: ColumnElement[int] = func.instr(text, part)
        return position > 0

    def starts_with(
        self, text: ColumnElement[Any], start: BindParameter[Any]
    ) -> ColumnElement[bool]:
        """Return whether a text begins like this, with regard to case."""
        # The first condition is there for an index, which can begin at the right place.
        return and_(text >= start, func.substr(text, 1, func.length(start)) == start)

    def has_item(
        self,
        spec: FieldSpec,
        text: BindParameter[Any],
        number: BindParameter[Any],
        word: BindParameter[Any],
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
                    and_(item.c.type == literal_column("'text'"), item.c.value == text),
                    and_(
                        item.c.type.in_([literal_column("'integer'"), literal_column("'real'")]),
                        item.c.value == number,
                    ),
                    item.c.type == word,
                )
            )
        )

    def sieved(
        self, part: BindParameter[Any], condition: ColumnElement[bool]
    ) -> ColumnElement[bool]:
        """Return a condition that can hold only where the JSON has a part."""
        # To look for that takes less than half of the time that it takes to find the place of
        # a field, and less by GLOB than by LIKE, which looks for capital letters as well.
        star = literal_column("'*'", Text())
        has_part = literal_column("records.data", Text()).op("GLOB")(star + part + star)
        return and_(has_part, condition)

    def is_null(self, spec: FieldSpec) -> ColumnElement[bool]:
        """Return whether a field of any type is null or absent."""
        return self.value(spec).is_(None)

    def is_absent(self, spec: FieldSpec) -> ColumnElement[bool]:
        """Return whether the data does not have a field at all."""
        return _type(spec).is_(None)

    def differs(self, spec: FieldSpec) -> ColumnElement[bool]:
        """Return whether a field is not what :meth:`with_fields` sets it to; it may be absent."""
        absent = func.json(json.dumps(spec.absent))
        value = func.json_extract(absent, literal_column("'$'", Text()))
        return or_(
            _type(spec).is_distinct_from(func.json_type(absent)),
            self.value(spec).is_distinct_from(value),
        )

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

    def index_keys(self, spec: FieldSpec) -> str:
        """Return what an index on a value begins with, as its definition needs it."""
        # The collection is always the same there; in front it makes SQLite prefer this index,
        # without statistics, to the one of the newest records.
        return f"collection_id, (json_extract(data, {_path(spec)}))"


_SQLITE_TYPES: dict[Kind, type[TypeEngine[Any]]] = {
    Kind.INTEGER: Integer,
    Kind.NUMBER: Float,
    Kind.BOOLEAN: Integer,
}


def _type(spec: FieldSpec) -> ColumnElement[str]:
    return literal_column(f"json_type(records.data, {_path(spec)})", Text())


def _path(spec: FieldSpec) -> str:
    return f"'$.\"{spec.name}\"'"
