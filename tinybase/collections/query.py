"""The one place that turns what a client asks for into SQL.

Fields are looked up in the schema, operators in a table; what cannot be found there is
refused. Values only ever become bound parameters, so the text of a statement says nothing
about them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Integer,
    Numeric,
    Select,
    Text,
    and_,
    bindparam,
    false,
    func,
    or_,
    select,
    true,
    type_coerce,
)
from sqlalchemy.types import NullType, TypeEngine

from tinybase.collections.collection import Collection
from tinybase.collections.expressions import RECORDS, Expressions, in_collection
from tinybase.collections.query_keyset import Key, Nulls, Place, after
from tinybase.collections.query_values import (
    bad_filter,
    part_of,
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

OWNER = "owner"
"""The parameter for the only owner whose records are listed."""

_LIMIT = bindparam("limit", type_=Integer())
_OFFSET = bindparam("offset", type_=Integer())
_RECORD_ID = bindparam("record_id", type_=RECORDS.c.id.type)

_DATA = "data."
_MOST_NAMES = 20

_TEXTS = frozenset({Kind.STRING, Kind.EMAIL, Kind.URL, Kind.ENUM})
_STORED_AS_TEXT = _TEXTS | {Kind.UUID, Kind.DATE, Kind.DATETIME}
_COMPARED = _TEXTS | {Kind.INTEGER, Kind.NUMBER, Kind.DATE, Kind.DATETIME}
_TEXT_OPERATORS = {"contains": "contains_text", "startswith": "starts_with"}
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
    """The statements that answer lists which differ in their values only.

    The rows of a page are records in the form of answers, then :attr:`more`: the keys whose
    values are not among them.
    """

    keys: Sequence[Key]
    count: Select[Any]
    _conditions: Sequence[_Condition]
    _found: Select[Any]
    _order: Sequence[ColumnElement[Any]]

    def page(self) -> Select[Any]:
        """Return the statement for a page that is counted off."""
        return self._found.order_by(*self._order).limit(_LIMIT).offset(_OFFSET)

    def pages_after(self, nulls: Nulls) -> list[Select[Any]]:
        """Return the statements that give what comes after a place, one after another."""
        return [
            self._found.where(each.where).order_by(*self._order[each.fixed :]).limit(_LIMIT)
            for each in after(self.keys, nulls)
        ]

    def one(self) -> Select[Any]:
        """Return the statement for one record, if it is in the list."""
        return self._found.where(RECORDS.c.id == _RECORD_ID)

    def bound(self, filters: Sequence[Term], only_of: UUID | None) -> dict[str, Any]:
        """Return the parameters that a list gives to all of its statements.

        :raises BadRequest: ``invalid_filter`` for a value that the field cannot have.
        """
        bound: dict[str, Any] = {} if only_of is None else {OWNER: str(only_of)}
        for condition, term in zip(self._conditions, filters, strict=True):
            condition.bind(term, bound)
        return bound


class QueryBuilder:
    """Builds the statements of one engine.

    :param columns: what to read of each record.
    """

    def __init__(self, expressions: Expressions, columns: Sequence[ColumnElement[Any]]) -> None:
        self._expressions = expressions
        self._columns = columns

    def build(
        self,
        collection: Collection,
        *,
        filters: Sequence[Term] = (),
        sort: Sequence[SortKey] = NEWEST_FIRST,
        only_own: bool = False,
    ) -> Query:
        """Return the statements for a list of records.

        :param filters: those of any list with the same :func:`shape_of` them.
        :param only_own: leave out what somebody else, or nobody, owns.
        :raises BadRequest: ``invalid_filter`` or ``invalid_sort``.
        """
        wanted = [in_collection(collection.id)]
        if only_own:
            wanted.append(RECORDS.c.owner_id == bindparam(OWNER, type_=RECORDS.c.owner_id.type))
        conditions = [
            self._condition(collection, term, f"value_{number}")
            for number, term in enumerate(filters)
        ]
        where = and_(*wanted, *(condition.where for condition in conditions))
        keys = self._keys(collection, sort)
        # As the driver gives them: nothing of SQLAlchemy sees these rows.
        values = [
            type_coerce(key.value, NullType()).label(key.label) for key in keys if not key.is_column
        ]
        order = [self._expressions.ordered(key.value, descending=key.descending) for key in keys]
        return Query(
            keys=keys,
            count=select(func.count().label("total")).select_from(RECORDS).where(where),
            _conditions=conditions,
            _found=select(*self._columns, *values).where(where),
            _order=order,
        )

    def place(self, keys: Sequence[Key], values: Sequence[Any]) -> Place:
        """Return values of a cursor as they are bound to a statement."""
        return [self._placed(key, value) for key, value in zip(keys, values, strict=True)]

    def place_found(self, keys: Sequence[Key], values: Sequence[Any]) -> Place:
        """Return values of a row as they are bound to a statement."""
        pairs = zip(keys, values, strict=True)
        return [self._placed(key, value) if key.is_column else value for key, value in pairs]

    def _placed(self, key: Key, value: Any) -> Any:
        if value is None:
            return None
        if key.is_column:
            read = _COLUMN_READERS.get(key.kind, int)
            return self._expressions.bound_column(read(value))
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

    def _condition(self, collection: Collection, term: Term, name: str) -> _Condition:
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
        return self._compare(target, term, name)

    def _compare(self, target: _Target, term: Term, name: str) -> _Condition:
        operator, value = term.operator, target.value
        if operator == "null":
            return _Condition(target.null if read_flag(term.values[0]) else ~target.null)
        if operator == "contains" and target.spec and target.kind is Kind.LIST:
            return self._has_item(target.spec, name)
        if operator in _TEXT_OPERATORS:
            part = bindparam(name, type_=Text())
            compare = getattr(self._expressions, _TEXT_OPERATORS[operator])
            return _Condition(compare(value, part), [part.key], read_text)
        if operator == "eq" and target.is_sieved:
            return self._sieved(target, name)
        names = [f"{name}_{number}" for number in range(len(term.values))]
        bound = [bindparam(each, type_=target.bound_type) for each in names]
        where: ColumnElement[bool]
        if operator in SEVERAL and not bound:
            # Code may give no value at all; a compiled statement has no words for that.
            where = false() if operator == "in" else true()
        elif operator == "in":
            where = value.in_(bound)
        elif operator == "nin":
            where = or_(value.not_in(bound), value.is_(None))
        else:
            where = _COMPARISONS[operator](value, bound[0])
        return _Condition(where, names, partial(self._read, target))

    def _sieved(self, target: _Target, name: str) -> _Condition:
        """Return the condition for a text that all records have to be searched for."""
        same = bindparam(name, type_=target.bound_type)
        part = bindparam(f"{name}_part", type_=Text())

        def read(value: object) -> tuple[Any, str]:
            text = self._read(target, value)
            return text, part_of(text)

        where = self._expressions.sieved(part, target.value == same)
        return _Condition(where, [same.key, part.key], read, is_split=True)

    def _has_item(self, spec: FieldSpec, name: str) -> _Condition:
        text = bindparam(f"{name}_text", type_=Text())
        number = bindparam(f"{name}_number", type_=Numeric())
        word = bindparam(f"{name}_word", type_=Text())

        def read(value: object) -> tuple[Any, ...]:
            as_text, as_number, as_word = read_item(spec, value)
            return as_text, self._expressions.bound(Kind.NUMBER, as_number), as_word

        where = self._expressions.has_item(spec, text, number, word)
        return _Condition(where, [text.key, number.key, word.key], read, is_split=True)

    def _read(self, target: _Target, value: object) -> Any:
        stored = read_value(target.kind, value)
        if target.spec is not None:
            return self._expressions.bound(target.kind, stored)
        read = _COLUMN_READERS.get(target.kind)
        return self._expressions.bound_column(stored if read is None else read(stored))

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

    @property
    def is_sieved(self) -> bool:
        """Say whether it is a text that no index helps to find."""
        spec = self.spec
        return spec is not None and not spec.wants_index and self.kind in _STORED_AS_TEXT

    @property
    def bound_type(self) -> TypeEngine[Any]:
        """Return the type of what it is compared with."""
        if self.spec is None and self.kind is Kind.INTEGER:
            # The column is narrower than what clients may ask for.
            return BigInteger()
        return self.value.type


@dataclass(frozen=True, slots=True)
class _Condition:
    """A filter term in SQL.

    :param names: of its parameters: one for each value of the term, or where ``is_split``
        all for one value, of which ``read`` makes as many.
    """

    where: ColumnElement[bool]
    names: Sequence[str] = ()
    read: Callable[[object], Any] = read_text
    is_split: bool = False

    def bind(self, term: Term, bound: dict[str, Any]) -> None:
        """Add the parameters that the values of a term are."""
        if not self.names:
            return
        values = self.read(term.values[0]) if self.is_split else map(self.read, term.values)
        bound.update(zip(self.names, values, strict=True))


def shape_of(filters: Sequence[Term]) -> Hashable:
    """Return what filters have in common that differ in their values only."""
    return tuple(
        [
            # Whether something is null is no value of a statement.
            (term.field, term.operator, str(term.values))
            if term.operator == "null"
            else (term.field, term.operator, len(term.values))
            for term in filters
        ]
    )


def _key(target: _Target, label: str, *, descending: bool) -> Key:
    is_column = target.spec is None
    label = target.name if is_column else label
    # What a schema requires may be missing in records that are older than it.
    nullable = not is_column or target.name == "owner_id"
    there = bindparam(f"at_{label}", type_=target.value.type)
    return Key(label, target.kind, target.value, descending, nullable, is_column, there)


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
