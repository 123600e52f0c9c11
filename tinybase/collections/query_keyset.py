"""Keyset paging: the records that come after a given place in a total order.

A place is the values of all keys of the order at one record. Nothing has to be counted off
to get there, and records that come or go elsewhere do not move it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, or_, tuple_

from tinybase.collections.spec import Kind

Place = Sequence[Any]
"""The value of each key, as it is bound to a statement."""


@dataclass(frozen=True, slots=True)
class Key:
    """One key of an order. Nulls are first when it ascends, and last when it descends.

    :param label: what its value is called in the rows of a page.
    """

    label: str
    kind: Kind
    value: ColumnElement[Any]
    descending: bool
    nullable: bool
    is_column: bool


def after(keys: Sequence[Key], place: Place) -> list[ColumnElement[bool]]:
    """Return the conditions of what comes after a place.

    There is one for each stretch of the order, and all of one stretch comes before the next:
    an index that begins with the first key finds the start of each at once.
    """
    if _is_one_tuple(keys, place):
        return [_past_tuple(keys, place)]
    # Engines do not look for tuples that begin with an expression in an index.
    same = and_(_equals(keys[0], place[0]), _past(keys[1:], place[1:]))
    return [same, *_later(keys[0], place[0])]


def _is_one_tuple(keys: Sequence[Key], place: Place) -> bool:
    """Say whether the keys can be compared as one."""
    return (
        all(key.is_column and not key.nullable for key in keys)
        and all(key.descending == keys[0].descending for key in keys)
        and None not in place
    )


def _past_tuple(keys: Sequence[Key], place: Place) -> ColumnElement[bool]:
    here = tuple_(*(key.value for key in keys))
    there = tuple_(*(_bind(key, value) for key, value in zip(keys, place, strict=True)))
    return here < there if keys[0].descending else here > there


def _past(keys: Sequence[Key], place: Place) -> ColumnElement[bool]:
    """Return whether a record differs from the place at some key, and comes later there."""
    if _is_one_tuple(keys, place):
        return _past_tuple(keys, place)
    ways = []
    for index, (key, value) in enumerate(zip(keys, place, strict=True)):
        before = [_equals(*pair) for pair in zip(keys[:index], place[:index], strict=True)]
        ways += [and_(*before, later) for later in _later(key, value)]
    return or_(*ways)


def _equals(key: Key, value: Any) -> ColumnElement[bool]:
    return key.value.is_(None) if value is None else key.value == _bind(key, value)


def _later(key: Key, value: Any) -> list[ColumnElement[bool]]:
    """Return the ways in which a key can be later; after a last null there is none."""
    if value is None:
        return [] if key.descending else [key.value.is_not(None)]
    if not key.descending:
        return [key.value > _bind(key, value)]
    less = key.value < _bind(key, value)
    return [less, key.value.is_(None)] if key.nullable else [less]


def _bind(key: Key, value: Any) -> ColumnElement[Any]:
    return bindparam(None, value, type_=key.value.type)
