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

from sqlalchemy import BigInteger, ColumnElement, Row, Select, and_, func, literal, or_, select

from tinybase.collections.collection import Collection
from tinybase.collections.expressions import RECORDS, Expressions, in_collection
from tinybase.collections.query_keyset import Key, Place, after
from tinybase.collections.query_values import (
    bad_filter,
    read_flag,
    read_item,
    read_text,
    read_value,
)
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
    """The statements that answer a list; its rows have the values of all keys."""

    keys: Sequence[Key]
    count: Select[Any]
    _page: Select[Any]

    def page(self, limit: int, offset: int = 0) -> Select[Any]:
        """Return the statement for a page that is counted off."""
        return self._page.limit(limit).offset(offset)

    def pages_after(self, place: Place) -> list[Select[Any]]:
        """Return the statements that give what comes after a place, one after another."""
        return [self._page.where(condition) for condition in after(self.keys, place)]

    def one(self, record_id: UUID) -> Select[Any]:
        """Return the statement for one record, if it is in the list."""
        return self._page.where(RECORDS.c.id == record_id)

    def place_of(self, row: Row[Any]) -> Place:
        """Return the place of a record in the order."""
        return [getattr(row, key.label) for key in self.keys]


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
        keys = self._keys(collection, sort)
        values = [key.value.label(key.label) for key in keys if not key.is_column]
        order = [self._expressions.ordered(key.value, descending=key.descending) for key in keys]
        return Query(
            keys=keys,
            count=select(func.count()).select_from(RECORDS).where(where),
            _page=select(RECORDS, *values).where(where).order_by(*order),
        )

    def place(self, keys: Sequence[Key], values: Sequence[Any]) -> Place:
        """Return values of a cursor as they are bound to a statement."""
        return [self._placed(key, value) for key, value in zip(keys, values, strict=True)]

    def _placed(self, key: Key, value: Any) -> Any:
        if value is None:
            return None
        if key.is_column:
            return _COLUMN_READERS.get(key.kind, int)(value)
        return self._expressions.bound(key.kind, bool(value) if key.kind is Kind.BOOLEAN else value)

    def _keys(self, collection: Collection, sort: Sequence[SortKey]) -> list[Key]:
        """Return the keys of a total order: the given ones, then those that tell records apart."""
        descending = sort[-1].descending if sort else True
        rest = [SortKey(name, descending) for name in ("created_at", "id")]
        keys: dict[str, Key] = {}
        for each in [*sort, *rest]:
            target = self._target(collection, each.field, "invalid_sort")
            if not target.kind.is_scalar:
                raise BadRequest(
                    "Lists, objects and fields of any type cannot be sorted by.",
                    code="invalid_sort",
                )
            # A second time it decides nothing, and so does what comes after the id.
            if target.name not in keys and "id" not in keys:
                keys[target.name] = _key(target, f"key_{len(keys)}", descending=each.descending)
        return list(keys.values())

    def _condition(self, collection: Collection, term: Term) -> ColumnElement[bool]:
        target = self._target(collection, term.field, "invalid_filter")
        kinds = _KINDS_OF_OPERATOR.get(term.operator)
        if kinds is None:
            raise bad_filter(f"Unknown operator; there are {', '.join(_KINDS_OF_OPERATOR)}.")
        if target.kind not in kinds:
            known = [name for name, able in _KINDS_OF_OPERATOR.items() if target.kind in able]
            raise bad_filter(
                f"A field of type {target.kind} has no such operator; it has {', '.join(known)}."
            )
        if len(term.values) != 1 and term.operator not in SEVERAL:
            raise bad_filter("This operator takes one value.")
        return self._compare(target, term)

    def _compare(self, target: _Target, term: Term) -> ColumnElement[bool]:
        first = term.values[0] if term.values else None
        if term.operator == "null":
            return target.null if read_flag(first) else ~target.null
        if term.operator == "contains" and target.spec and target.kind is Kind.LIST:
            return self._expressions.has_item(target.spec, *read_item(target.spec, first))
        if term.operator == "contains":
            return self._expressions.contains_text(target.value, read_text(first))
        if term.operator == "startswith":
            return self._expressions.starts_with(target.value, read_text(first))
        values = [self._bound(target, value) for value in term.values]
        if term.operator == "in":
            return target.value.in_(values)
        if term.operator == "nin":
            return or_(target.value.not_in(values), target.value.is_(None))
        return _COMPARISONS[term.operator](target.value, values[0])

    def _bound(self, target: _Target, value: object) -> Any:
        stored = read_value(target.kind, value)
        if target.spec is not None:
            return self._expressions.bound(target.kind, stored)
        if target.kind is Kind.INTEGER:
            # The column is narrower than what clients may ask for.
            return literal(stored, BigInteger)
        return _COLUMN_READERS[target.kind](stored)

    def _target(self, collection: Collection, name: str, code: str) -> _Target:
        if name in SYSTEM_FIELDS:
            column = RECORDS.c[name]
            return _Target(name, SYSTEM_FIELDS[name], column, column.is_(None))
        bare = name.removeprefix(_DATA)
        spec = collection.compiled.specs.get(bare)
        if spec is None:
            raise BadRequest(f"Unknown field; there are {_names(collection)}.", code=code)
        value, null = self._expressions.value(spec), self._expressions.is_null(spec)
        return _Target(_DATA + bare, spec.kind, value, null, spec)


@dataclass(frozen=True, slots=True)
class _Target:
    """What a name of the client stands for; ``spec`` is ``None`` for a system field."""

    name: str
    kind: Kind
    value: ColumnElement[Any]
    null: ColumnElement[bool]
    spec: FieldSpec | None = None


def _key(target: _Target, label: str, *, descending: bool) -> Key:
    is_column = target.spec is None
    label = target.name if is_column else label
    # What a schema requires may be missing in records that are older than it.
    nullable = not is_column or target.name == "owner_id"
    return Key(label, target.kind, target.value, descending, nullable, is_column)


# Columns have types that bind Python's values.
_COLUMN_READERS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.DATETIME: datetime.fromisoformat,
    Kind.UUID: UUID,
}


_COMPARISONS: Mapping[str, Callable[[ColumnElement[Any], Any], ColumnElement[bool]]] = {
    "eq": lambda target, value: target == value,
    "ne": lambda target, value: target.is_distinct_from(value),
    "gt": lambda target, value: target > value,
    "gte": lambda target, value: target >= value,
    "lt": lambda target, value: target < value,
    "lte": lambda target, value: target <= value,
}


def _names(collection: Collection) -> str:
    declared = [
        f"{_DATA}{name}" if name in SYSTEM_FIELDS else name for name in collection.compiled.specs
    ]
    names = [*SYSTEM_FIELDS, *declared]
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
