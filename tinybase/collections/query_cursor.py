"""The cursors that clients pass back for the next page.

A cursor is the place of the last record of a page in the order of the list. It fits to one
list only: one collection, filter and order as one actor sees them. It gives access to
nothing, so it need not be secret; a digest tells a cursor of this list from everything else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

import orjson
from marshmallow import ValidationError

from tinybase.actors import Actor
from tinybase.collections import fields
from tinybase.collections.messages import failure
from tinybase.collections.query_keyset import Key
from tinybase.collections.spec import Kind
from tinybase.collections.terms import SortKey, Term
from tinybase.db.types import format_time
from tinybase.errors import BadRequest

LONGEST_CURSOR = 1_024

_LONGEST_VALUES = 700
_VERSION = 2
_INT64 = 2**63

Values = list[Any]
"""The value of each key as JSON."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """A place: the values there, or where these are too long the record that has them."""

    digest: str
    values: Values
    record_id: UUID | None = None


class CursorCodec:
    """Writes and reads the cursors of one list.

    :param scope: what the cursors are bound to, see :func:`scope_of`.
    """

    def __init__(self, scope: str, keys: Sequence[Key]) -> None:
        self._scope = scope
        self._keys = keys

    def write(self, place: Sequence[Any], record_id: UUID) -> str:
        """Return the cursor of a record, from the values that the database has at its keys."""
        values = [_plain(value) for value in place]
        cursor = {"v": _VERSION, "d": self._digest(values)}
        if self._can_be_read(values) and len(_as_json(values)) <= _LONGEST_VALUES:
            cursor["k"] = values
        else:
            cursor["r"] = str(record_id)
        return base64.urlsafe_b64encode(_as_json(cursor)).decode().rstrip("=")

    def read(self, text: str) -> Cursor:
        """Read a cursor of this list.

        :raises BadRequest: ``invalid_cursor`` for anything else.
        """
        content = _decoded(text)
        values, record_id, digest = content.get("k"), content.get("r"), content.get("d")
        if content.get("v") != _VERSION or not isinstance(digest, str):
            raise invalid_cursor()
        if isinstance(values, list):
            if not self._fits(values) or digest != self._digest(values):
                raise invalid_cursor()
            return Cursor(digest, values)
        try:
            return Cursor(digest, [], UUID(record_id))
        except (TypeError, ValueError, AttributeError) as error:
            raise invalid_cursor() from error

    def check(self, cursor: Cursor, place: Sequence[Any] | None) -> Sequence[Any]:
        """Return the place of the record that a cursor names, if it still is that place.

        :raises BadRequest: ``invalid_cursor`` when the record has changed or is gone.
        """
        if place is None or cursor.digest != self._digest([_plain(value) for value in place]):
            raise invalid_cursor()
        return place

    def _digest(self, values: Values) -> str:
        content = _as_json([self._scope, values])
        return hashlib.sha256(content).hexdigest()[:24]

    def _can_be_read(self, values: Values) -> bool:
        """Say whether values of the database fit; its columns have nothing else in them."""
        return all(
            key.is_column or (value is None and key.nullable) or _is_value(key, value)
            for key, value in zip(self._keys, values, strict=True)
        )

    def _fits(self, values: Values) -> bool:
        return len(values) == len(self._keys) and all(
            (value is None and key.nullable) or _is_value(key, value)
            for key, value in zip(self._keys, values, strict=True)
        )


def scope_of(
    collection_id: UUID, actor: Actor, filters: Sequence[Term], sort: Sequence[SortKey]
) -> str:
    """Return what the cursors of a list are bound to."""
    who = [actor.kind, actor.user_id or actor.token_id]
    terms = sorted([term.field, term.operator, *map(str, term.values)] for term in filters)
    order = [[key.field, key.descending] for key in sort]
    return _as_json([collection_id, who, terms, order]).decode()


def invalid_cursor() -> BadRequest:
    """Return the error for a text that is no cursor of the list."""
    return BadRequest(
        "The cursor does not belong to this list as it is now; begin with the first page.",
        code="invalid_cursor",
    )


def _decoded(text: str) -> dict[str, Any]:
    if len(text) > LONGEST_CURSOR:
        raise invalid_cursor()
    try:
        raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        content = json.loads(raw)
    except (binascii.Error, ValueError, RecursionError) as error:
        raise invalid_cursor() from error
    if not isinstance(content, dict):
        raise invalid_cursor()
    return content


def _as_json(value: Any) -> bytes:
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:
        # Numbers and texts that the one does not take and the other does.
        return json.dumps(value, default=str).encode()


def _plain(value: Any) -> Any:
    """Return a value of the database as JSON."""
    if isinstance(value, Decimal):
        whole = value == value.to_integral_value() and -_INT64 <= value < _INT64
        return int(value) if whole else float(value)
    if isinstance(value, datetime):
        return format_time(value)
    return str(value) if isinstance(value, UUID) else value


def _is_value(key: Key, value: Any) -> bool:
    """Say whether a value is one that the database can compare with those of a key."""
    try:
        _CHECKS[key.kind if key.is_column else _shape(key.kind)](value)
    except ValidationError:
        return False
    return True


def _shape(kind: Kind) -> Kind:
    """Return how values of declared fields are compared: times as texts, whole numbers as any."""
    if kind is Kind.INTEGER:
        return Kind.NUMBER
    return kind if kind in (Kind.NUMBER, Kind.BOOLEAN) else Kind.STRING


def _read_number(value: Any) -> float:
    if isinstance(value, str):
        raise failure("Not a valid number.", "invalid_type")
    return fields.coerce_number(value)


_CHECKS: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.INTEGER: fields.read_integer,
    Kind.NUMBER: _read_number,
    Kind.BOOLEAN: fields.coerce_boolean,
    Kind.DATETIME: fields.read_datetime,
    Kind.UUID: fields.read_uuid,
    Kind.STRING: fields.read_text,
}
