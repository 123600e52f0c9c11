"""Keyset paging: the records that come after a given place in a total order.

A place is the values of all keys of the order at one record. Nothing has to be counted off
to get there, and records that come or go elsewhere do not move it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import BindParameter, ColumnElement, and_, or_, tuple_

from tinybase.collections.spec import Kind

Place = Sequence[Any]
"""The value of each key, as it is bound to a statement."""

Nulls = tuple[bool, ...]
"""Which values of a place are null: the one thing about them that makes other statements."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an order. Nulls are first when it ascends, and last when it descends.

    :param label: what its value is called in the rows of a page.
    :param there: stands for its value at a place.
    """

    label: str
    kind: Kind
    value: ColumnElement[Any]
    descending: bool
    nullable: bool
    is_column: bool
    there: BindParameter[Any]


@dataclass(frozen=True, slots=True)
class Stretch:
    """A part of what comes after a place.

    :param fixed: how many of the first keys are the same in all of it. To order by them
        as well changes nothing, but SQLite would sort what an index gives in order.
    """

    where: ColumnElement[bool]
    fixed: int = 0


def nulls_of(place: Place) -> Nulls:
    """Return which values of a place are null."""
    return tuple(value is None for value in place)


def bound_place(keys: Sequence[Key], place: Place) -> dict[str, Any]:
    """Return the parameters of the statements for a place."""
    return {key.there.key: value for key, value in zip(keys, place, strict=True)}


def after(keys: Sequence[Key], nulls: Nulls) -> list[Stretch]:
    """Return the stretches of the order after a place, each of which comes before the next.

    An index that begins with the first key finds the start of each at once.
    """
    if _is_one_tuple(keys, nulls):
        return [Stretch(_past_tuple(keys))]
    # Engines do not look for tuples that begin with an expression in an index.
    same = and_(_equals(keys[0], is_null=nulls[0]), _past(keys[1:], nulls[1:]))
    return [Stretch(same, fixed=1), *_stretches(keys[0], is_null=nulls[0])]


def _is_one_tuple(keys: Sequence[Key], nulls: Nulls) -> bool:
    """Say whether the keys can be compared as one."""
    return (
        all(key.is_column and not key.nullable for key in keys)
        and all(key.descending == keys[0].descending for key in keys)
        and not any(nulls)
    )


def _past_tuple(keys: Sequence[Key]) -> ColumnElement[bool]:
    here = tuple_(*(key.value for key in keys))
    there = tuple_(*(key.there for key in keys))
    return here < there if keys[0].descending else here > there


def _past(keys: Sequence[Key], nulls: Nulls) -> ColumnElement[bool]:
    """Return whether a record differs from the place at some key, and comes later there."""
    if _is_one_tuple(keys, nulls):
        return _past_tuple(keys)
    pairs = list(zip(keys, nulls, strict=True))
    ways = []
    for index, (key, is_null) in enumerate(pairs):
        before = [_equals(each, is_null=null) for each, null in pairs[:index]]
        ways += [and_(*before, later) for later in _later(key, is_null=is_null)]
    return or_(*ways)


def _equals(key: Key, *, is_null: bool) -> ColumnElement[bool]:
    return key.value.is_(None) if is_null else key.value == key.there


def _later(key: Key, *, is_null: bool) -> list[ColumnElement[bool]]:
    """Return the ways in which a key can be later."""
    return [stretch.where for stretch in _stretches(key, is_null=is_null)]


def _stretches(key: Key, *, is_null: bool) -> list[Stretch]:
    """Return the stretches in which a key is later; after a last null there is none."""
    if is_null:
        return [] if key.descending else [Stretch(key.value.is_not(None))]
    if not key.descending:
        return [Stretch(key.value > key.there)]
    less = Stretch(key.value < key.there)
    return [less, Stretch(key.value.is_(None), fixed=1)] if key.nullable else [less]
