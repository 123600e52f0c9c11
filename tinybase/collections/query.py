"""The one place that turns what a client asks for into SQL.

Fields are looked up in the schema, operators in a table; what cannot be found there is
refused. Values only ever become bound parameters, so the text of a statement says nothing
about them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from marshmallow import ValidationError
from sqlalchemy import ColumnElement, Select, and_, func, or_, select

from tinybase.collections import fields
from tinybase.collections.collection import Collection
from tinybase.collections.expressions import RECORDS, Expressions, in_collection
from tinybase.collections.messages import reason_of
from tinybase.collections.spec import FieldSpec, Kind
from tinybase.collections.terms import SEVERAL, SortKey, Term
from tinybase.errors import BadRequest

SYSTEM_FIELDS: Mapping[str, Kind] = {
    "id": Kind.UUID,
    "owner_id": Kind.UUID,
    "created_at": Kind.DATETIME,
    "updated_at": Kind.DATETIME,
    "version": Kind.INTEGER,
}
"""What every record has beside its data. A field of the same name is ``data.<name>``."""

NEWEST_FIRST = (SortKey("created_at", descending=True),)

_DATA = "data."
_MOST_NAMES = 20

_TEXTS = frozenset({Kind.STRING, Kind.EMAIL, Kind.URL, Kind.ENUM})
_COMPARED = _TEXTS | {Kind.INTEGER, Kind.NUMBER, Kind.DATE, Kind.DATETIME}
_SCALARS = frozenset(kind for kind in Kind if kind.is_scalar)
_KINDS_OF_OPERATOR: Mapping[str, frozenset[Kind]] = {
    "eq": _SCALARS,
    "ne": _SCALARS,
    "in": _SCALARS,
    "nin": _SCALARS,
    "gt": _COMPARED,
    "gte": _COMPARED,
    "lt": _COMPARED,
    "lte": _COMPARED,
    "contains": _TEXTS | {Kind.LIST},
    "startswith": _TEXTS,
    "null": frozenset(Kind),
}

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def chosen_fields(
    collection: Collection, names: Sequence[str] | None
) -> Mapping[str, FieldSpec] | None:
    """Return the fields that a client wants to see; ``None`` is all of them.

    A system field may be named too: it is always there.

    :raises BadRequest: ``invalid_fields`` for a name that is no field.
    """
    if names is None:
        return None
    wanted = {name.removeprefix(_DATA) for name in names if name not in SYSTEM_FIELDS}
    declared = collection.compiled.specs
    if not wanted <= declared.keys():
        raise BadRequest(f"Unknown field; there are {_names(collection)}.", code="invalid_fields")
    return {name: spec for name, spec in declared.items() if name in wanted}


@dataclass(frozen=True)
class Query:
    """The two statements that answer a list: one page, and the count of all."""

    page: Select[Any]
    count: Select[Any]


class QueryBuilder:
    """Builds the statements of one engine."""

    def __init__(self, expressions: Expressions) -> None:
        self._expressions = expressions

    def build(
        self,
        collection: Collection,
        *,
        filters: Sequence[Term] = (),
        sort: Sequence[SortKey] = NEWEST_FIRST,
        limit: int,
        offset: int,
        only_of: UUID | None = None,
    ) -> Query:
        """Return the statements for a list of records.

        :param only_of: leave out what somebody else, or nobody, owns.
        :raises BadRequest: ``invalid_filter`` or ``invalid_sort``.
        """
        conditions = [in_collection(collection.id)]
        if only_of is not None:
            conditions.append(RECORDS.c.owner_id == only_of)
        conditions += [self._condition(collection, term) for term in filters]
        where = and_(*conditions)
        page = (
            select(RECORDS)
            .where(where)
            .order_by(*self._order(collection, sort))
            .limit(limit)
            .offset(offset)
        )
        return Query(page, select(func.count()).select_from(RECORDS).where(where))

    def _order(self, collection: Collection, sort: Sequence[SortKey]) -> list[ColumnElement[Any]]:
        keys = [(self._target(collection, key.field, "invalid_sort"), key) for key in sort]
        if any(not target.kind.is_scalar for target, _ in keys):
            raise BadRequest(
                "Lists, objects and fields of any type cannot be sorted by.", code="invalid_sort"
            )
        order = [
            self._expressions.ordered(target.value, descending=key.descending)
            for target, key in keys
        ]
        # What is equal by the given keys still has one order, in which pages do not overlap.
        descending = sort[-1].descending if sort else True
        given = {key.field for key in sort}
        for name in ("created_at", "id"):
            if name not in given:
                column = RECORDS.c[name]
                order.append(column.desc() if descending else column.asc())
        return order

    def _condition(self, collection: Collection, term: Term) -> ColumnElement[bool]:
        target = self._target(collection, term.field, "invalid_filter")
        kinds = _KINDS_OF_OPERATOR.get(term.operator)
        if kinds is None:
            raise _bad_filter(f"Unknown operator; there are {', '.join(_KINDS_OF_OPERATOR)}.")
        if target.kind not in kinds:
            known = [name for name, able in _KINDS_OF_OPERATOR.items() if target.kind in able]
            raise _bad_filter(
                f"A field of type {target.kind} has no such operator; it has {', '.join(known)}."
            )
        if len(term.values) != 1 and term.operator not in SEVERAL:
            raise _bad_filter("This operator takes one value.")
        return self._compare(target, term)

    def _compare(self, target: _Target, term: Term) -> ColumnElement[bool]:
        first = term.values[0] if term.values else None
        if term.operator == "null":
            return target.null if read_flag(first) else ~target.null
        if term.operator == "contains" and target.spec and target.kind is Kind.LIST:
            return self._expressions.has_item(target.spec, *_item(target.spec, first))
        if term.operator == "contains":
            return self._expressions.contains_text(target.value, _text(first))
        if term.operator == "startswith":
            return self._expressions.starts_with(target.value, _text(first))
        values = [self._bound(target, value) for value in term.values]
        if term.operator == "in":
            return target.value.in_(values)
        if term.operator == "nin":
            return or_(target.value.not_in(values), target.null)
        return _COMPARISONS[term.operator](target.value, values[0])

    def _bound(self, target: _Target, value: object) -> Any:
        stored = read_value(target.kind, value)
        if target.spec is None:
            # Columns have types that bind Python's values.
            return datetime.fromisoformat(stored) if target.kind is Kind.DATETIME else stored
        return self._expressions.bound(target.kind, stored)

    def _target(self, collection: Collection, name: str, code: str) -> _Target:
        if name in SYSTEM_FIELDS:
            column = RECORDS.c[name]
            return _Target(SYSTEM_FIELDS[name], column, column.is_(None))
        spec = collection.compiled.specs.get(name.removeprefix(_DATA))
        if spec is None:
            raise BadRequest(f"Unknown field; there are {_names(collection)}.", code=code)
        expressions = self._expressions
        return _Target(spec.kind, expressions.value(spec), expressions.is_null(spec), spec)


@dataclass(frozen=True, slots=True)
class _Target:
    """What a name of the client stands for; ``spec`` is ``None`` for a system field."""

    kind: Kind
    value: ColumnElement[Any]
    null: ColumnElement[bool]
    spec: FieldSpec | None = None


_COMPARISONS: Mapping[str, Callable[[ColumnElement[Any], Any], ColumnElement[bool]]] = {
    "eq": lambda target, value: target == value,
    "ne": lambda target, value: target.is_distinct_from(value),
    "gt": lambda target, value: target > value,
    "gte": lambda target, value: target >= value,
    "lt": lambda target, value: target < value,
    "lte": lambda target, value: target <= value,
}


def read_flag(value: object) -> bool:
    """Read a truth value as queries write it.

    :raises BadRequest: ``invalid_filter`` for anything else.
    """
    text = str(value).lower() if isinstance(value, str | bool) else ""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise _bad_filter("Not a truth value; write true or false.")


def read_value(kind: Kind, value: object) -> Any:
    """Read the value of a filter term into the form in which such values are stored.

    :raises BadRequest: ``invalid_filter`` when it is no value of the type.
    """
    if kind is Kind.BOOLEAN:
        return read_flag(value)
    try:
        return _VALUE_READERS[kind](value)
    except ValidationError as error:
        raise _bad_filter(f"The value does not fit the type {kind}: {reason_of(error)}") from error


_VALUE_READERS: Mapping[Kind, Callable[[Any], Any]] = {
    **dict.fromkeys(Kind, fields.read_text),
    Kind.INTEGER: fields.coerce_integer,
    Kind.NUMBER: fields.coerce_number,
    Kind.DATETIME: fields.read_datetime,
    Kind.DATE: fields.read_date,
    Kind.UUID: fields.read_uuid,
}


def _text(value: object) -> str:
    text: str = read_value(Kind.STRING, value)
    return text


def _item(spec: FieldSpec, value: object) -> tuple[str | None, float | None, str | None]:
    """Return the list item that is looked for, as a text, as a number and as a word."""
    kind = spec.items.kind if spec.items else None
    if kind is None or kind is Kind.JSON:
        text = _text(value if isinstance(value, str) else str(value).lower())
        return text, _number(text), text if text in ("true", "false") else None
    if not kind.is_scalar:
        raise _bad_filter("The items of this list cannot be compared.")
    stored = read_value(kind, value)
    if kind is Kind.BOOLEAN:
        return None, None, "true" if stored else "false"
    return (None, stored, None) if kind in (Kind.INTEGER, Kind.NUMBER) else (stored, None, None)


def _number(text: str) -> float | None:
    for read in (fields.coerce_integer, fields.coerce_number):
        try:
            return read(text)
        except ValidationError:
            continue
    return None


def _names(collection: Collection) -> str:
    declared = [
        f"{_DATA}{name}" if name in SYSTEM_FIELDS else name for name in collection.compiled.specs
    ]
    names = [*SYSTEM_FIELDS, *declared]
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")


def _bad_filter(detail: str) -> BadRequest:
    return BadRequest(detail, code="invalid_filter")
