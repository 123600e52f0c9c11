"""Values of filter terms: texts of a query string, or what code gives, in stored form."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from marshmallow import ValidationError

from tinybase.collections import fields
from tinybase.collections.messages import reason_of
from tinybase.collections.spec import FieldSpec, Kind
from tinybase.errors import BadRequest

_SPECIAL = frozenset("\"\\/<>&'\x7f*?[")
"""What JSON may be written with in another way, and what is a wildcard."""

_COMMON = "zqxjkvbygwpfm0123456789ucdlhrsntioae ,:"
"""The signs that there are most of in English and in JSON, the rarer ones first."""

_LONGEST_PART = 200

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


def read_flag(value: object) -> bool:
    """Read a truth value as queries write it.

    :raises BadRequest: ``invalid_filter`` for anything else.
    """
    text = str(value).lower() if isinstance(value, str | bool) else ""
    if text in _TRUE or text in _FALSE:
        return text in _TRUE
    raise bad_filter("Not a truth value; write true or false.")


def read_value(kind: Kind, value: object) -> Any:
    """Read the value of a filter term into the form in which such values are stored.

    :raises BadRequest: ``invalid_filter`` when it is no value of the type.
    """
    if kind is Kind.BOOLEAN:
        return read_flag(value)
    try:
        return _VALUE_READERS[kind](value)
    except ValidationError as error:
        raise bad_filter(f"The value does not fit the type {kind}: {reason_of(error)}") from error


_VALUE_READERS: Mapping[Kind, Callable[[Any], Any]] = {
    **dict.fromkeys(Kind, fields.read_text),
    Kind.INTEGER: fields.coerce_integer,
    Kind.NUMBER: fields.coerce_number,
    Kind.DATETIME: fields.read_datetime,
    Kind.DATE: fields.read_date,
    Kind.UUID: fields.read_uuid,
}


def read_text(value: object) -> str:
    """Read the text of a filter term.

    :raises BadRequest: ``invalid_filter`` when it is none.
    """
    text: str = read_value(Kind.STRING, value)
    return text


def part_of(text: str) -> str:
    """Return a part of all JSON in which there is a text, and of little else.

    Letters, digits and most other signs of ASCII are stored in one way only, whoever wrote
    the JSON. There are no wildcards of GLOB in it.
    """
    is_plain = len(text) <= _LONGEST_PART and text.isascii() and text.isprintable()
    if not is_plain or not _SPECIAL.isdisjoint(text):
        return ""
    if not text:
        return '""'
    # Whoever looks for it stops wherever its first sign is, so that is a rare one.
    half = (len(text) + 1) // 2
    start = min(range(half), key=lambda place: _COMMON.find(text[place]))
    return f'{text[start:]}"'


def read_item(spec: FieldSpec, value: object) -> tuple[str | None, float | None, str | None]:
    """Return the list item that is looked for, as a text, as a number and as a word."""
    kind = spec.items.kind if spec.items else None
    if kind is None or kind is Kind.JSON:
        text = read_text(value if isinstance(value, str) else str(value).lower())
        return text, _number(text), text if text in ("true", "false") else None
    if not kind.is_scalar:
        raise bad_filter("The items of this list cannot be compared.")
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


def bad_filter(detail: str) -> BadRequest:
    """Return the error for a filter term."""
    return BadRequest(detail, code="invalid_filter")
