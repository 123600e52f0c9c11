"""Record data in SQL, as PostgreSQL reads JSON.

A value that an earlier schema let through, which has another type than its field has now,
must not make a statement fail: it is no number and no truth value, so it compares as null.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import (
    JSON,
    BindParameter,
    Boolean,
    ColumnElement,
    Label,
    Numeric,
    Select,
    Text,
    and_,
    case,
    cast,
    exists,
    false,
    func,
    literal,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.types import TypeEngine

from tinybase.collections.spec import FieldSpec, Kind
from tinybase.db import tables

RECORDS = tables.records

_NUMBERS = frozenset({Kind.INTEGER, Kind.NUMBER})
_TYPES: dict[Kind, TypeEngine[Any]] = {
    **dict.fromkeys(_NUMBERS, Numeric()),
    Kind.BOOLEAN: Boolean(),
}


class PostgresqlExpressions:
    """PostgreSQL: ``->>``; texts compare by code point because they are told to."""

    def value(self, spec: FieldSpec) -> ColumnElement[Any]:
        """Return the value of a scalar field, SQL's NULL for null."""
        return literal_column(_value(spec, "records.data"), _TYPES.get(spec.kind, Text()))

    def bound(self, kind: Kind, value: Any) -> Any:
        """Return a stored value as it is bound to a statement."""
        return _decimal(value) if kind in _NUMBERS else value

    def bound_column(self, value: UUID | datetime | int) -> Any:
        """Return a value of a column as it is bound to a statement."""
        return value

    def contains_text(
        self, text: ColumnElement[Any], part: BindParameter[Any]
    ) -> ColumnElement[bool]:
        """Return whether a text has a part, with regard to case."""
        position: ColumnElement[int] = func.strpos(text, part)
        return position > 0

    def starts_with(
        self, text: ColumnElement[Any], start: BindParameter[Any]
    ) -> ColumnElement[bool]:
        """Return whether a text begins like this, with regard to case."""
        # The first condition is there for an index, which can begin at the right place.
        return and_(text >= start, func.starts_with(text, start))

    def has_item(
        self,
        spec: FieldSpec,
        text: BindParameter[Any],
        number: BindParameter[Any],
        word: BindParameter[Any],
    ) -> ColumnElement[bool]:
        """Return whether a list has a text, a number, or one of the words true and false."""
        listed: ColumnElement[Any] = literal_column(f"records.data -> {_key(spec)}")
        is_list = func.json_typeof(listed) == "array"
        empty: ColumnElement[Any] = literal_column("'[]'::json")
        items = func.json_array_elements(case((is_list, listed), else_=empty))
        item = items.table_valued("value").render_derived()
        content = item.c.value.op("#>>")(literal_column("'{}'"))
        # CASE keeps the order: only what is a number is read as one.
        is_wanted = case(
            (_is(item, "string"), content == text),
            (_is(item, "number"), cast(content, Numeric) == number),
            (_is(item, "boolean"), content == word),
        )
        return exists(select(literal_column("1")).select_from(item).where(is_wanted))

    def sieved(
        self, part: BindParameter[Any], condition: ColumnElement[bool]
    ) -> ColumnElement[bool]:
        """Return a condition that can hold only where the JSON has a part."""
        # CASE keeps the order: JSON is stored as text, and to read it takes twice as long.
        has_part = func.strpos(literal_column("records.data::text", Text()), part) > 0
        return case((has_part, condition), else_=false())

    def is_null(self, spec: FieldSpec) -> ColumnElement[bool]:
        """Return whether a field of any type is null or absent."""
        return literal_column(f"(records.data ->> {_key(spec)})", Text()).is_(None)

    def is_absent(self, spec: FieldSpec) -> ColumnElement[bool]:
        """Return whether the data does not have a field at all."""
        return literal_column(f"(records.data -> {_key(spec)})").is_(None)

    def differs(self, spec: FieldSpec) -> ColumnElement[bool]:
        """Return whether a field is not what :meth:`with_fields` sets it to; it may be absent."""
        # Spelled as the dialect spells what is set there.
        spelled = literal_column(f"CAST(records.data -> {_key(spec)} AS TEXT)", Text())
        return spelled.is_distinct_from(json.dumps(spec.absent))

    def ordered(self, value: ColumnElement[Any], *, descending: bool) -> ColumnElement[Any]:
        """Return a sort key that has nulls first when it ascends, and last when it descends."""
        key = value.desc() if descending else value.asc()
        if getattr(value, "nullable", True):
            return key.nulls_last() if descending else key.nulls_first()
        # Where nothing is null it would only keep the planner from an index without it.
        return key

    def with_fields(self, specs: Sequence[FieldSpec]) -> ColumnElement[Any]:
        """Return the data of a record with some fields set to what they are when absent."""
        added = {spec.name: spec.absent for spec in specs}
        kept = _pairs(RECORDS.c.data, rank=0)
        new = _pairs(literal(added, JSON), rank=1)
        names = [spec.name for spec in specs]
        kept = kept.where(kept.selected_columns.key.not_in(names))
        pairs = union_all(kept, new).subquery("pairs")
        # The dialect brings what belongs to each of its drivers; SQLite needs none of it.
        from sqlalchemy.dialects.postgresql import aggregate_order_by  # noqa: PLC0415

        # Not concatenated as jsonb, which does not keep the order of what is there.
        merged = aggregate_order_by(pairs.c.value, pairs.c.rank, pairs.c.position)
        whole = func.json_object_agg(pairs.c.key, merged)
        return select(whole).scalar_subquery()

    def index_keys(self, spec: FieldSpec) -> str:
        """Return what an index on a value begins with, as its definition needs it."""
        return f"({_value(spec, 'data')}) NULLS FIRST"


def _value(spec: FieldSpec, data: str) -> str:
    """Return the text of a value, for which the column is called differently in an index."""
    text = f"({data} ->> {_key(spec)})"
    if spec.kind in _NUMBERS:
        # Numbers of 64 bits and floats alike, each as exact as it is spelled.
        return _typed(spec, data, "number", f"{text}::numeric")
    if spec.kind is Kind.BOOLEAN:
        return _typed(spec, data, "boolean", f"{text}::boolean")
    return f'({text} COLLATE "C")'


def _typed(spec: FieldSpec, data: str, type_: str, value: str) -> str:
    return f"(CASE WHEN json_typeof({data} -> {_key(spec)}) = '{type_}' THEN {value} END)"


def _key(spec: FieldSpec) -> str:
    return f"'{spec.name}'"


def _decimal(value: float | None) -> Decimal | None:
    """Return a number as JSON spells it; a float is the shortest text that means it."""
    return None if value is None else Decimal(repr(value))


def _is(item: Any, type_: str) -> ColumnElement[bool]:
    is_type: ColumnElement[bool] = func.json_typeof(item.c.value) == literal_column(f"'{type_}'")
    return is_type


def _pairs(document: ColumnElement[Any], *, rank: int) -> Select[Any]:
    columns = func.json_each(document).table_valued("key", "value", with_ordinality="position")
    each = columns.render_derived()
    number: Label[int] = literal_column(str(rank)).label("rank")
    return select(each.c.key, each.c.value, each.c.position, number)
