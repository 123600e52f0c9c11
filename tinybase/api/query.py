"""Reading query strings, with nothing ignored and nothing guessed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any
from urllib.parse import parse_qsl

from marshmallow import ValidationError
from marshmallow.fields import List
from werkzeug.datastructures import MultiDict

from tinybase.api.json import TEXT_FAULTS, text_fault
from tinybase.api.schemas import Query, load_faults
from tinybase.errors import BadRequest, Fault, Invalid

_LONGEST_ECHO = 100


def parse_query(raw: bytes) -> MultiDict[str, str]:
    """Split a query string into its keys and values, in their order.

    :raises Invalid: for what is not UTF-8 behind its percent signs, or cannot be stored.
    """
    if not raw:
        return MultiDict()
    try:
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        message = "Must be UTF-8, percent-encoded."
        raise Invalid([Fault(("query",), message, "invalid_encoding")]) from error
    for key, value in pairs:
        fault = text_fault(key) or text_fault(value)
        if fault:
            raise Invalid([Fault(("query", key.replace("\0", "")), TEXT_FAULTS[fault], fault)])
    return MultiDict(pairs)


def load_query(
    values: MultiDict[str, str], schema: Query | None, patterns: Sequence[re.Pattern[str]]
) -> dict[str, Any]:
    """Return the checked parameters, defaults included.

    :raises BadRequest: for a key that is unknown, or repeated though it has one value.
    :raises Invalid: for values that do not fit.
    """
    if schema is None:
        _check_known(values, (), patterns)
        return {}
    given = _given(values, schema, patterns) if values else {}
    try:
        return schema.read(given)
    except ValidationError as error:
        raise Invalid(load_faults(error.messages, "query")) from error


def _given(
    values: MultiDict[str, str], schema: Query, patterns: Sequence[re.Pattern[str]]
) -> dict[str, Any]:
    """Return the values that are given for what the schema declares."""
    known = {field.data_key or name: field for name, field in schema.load_fields.items()}
    _check_known(values, known, patterns)
    data: dict[str, Any] = {}
    for key, given in values.lists():
        if key not in known:
            continue
        if isinstance(known[key], List):
            data[key] = given
        elif len(given) > 1:
            raise BadRequest(f"{key} is given twice; give it once.", code="duplicate_parameter")
        else:
            data[key] = given[0]
    return data


def _check_known(
    keys: Iterable[str], known: Iterable[str], patterns: Sequence[re.Pattern[str]]
) -> None:
    for key in keys:
        if key not in known and not any(pattern.fullmatch(key) for pattern in patterns):
            raise BadRequest(_unknown(key, sorted(known)), code="unknown_parameter")


def _unknown(key: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(key, known, n=1, cutoff=0)
    hint = f"the nearest known one is {near[0]}" if near else "this address takes none"
    return f"Unknown query parameter {key[:_LONGEST_ECHO]!r}; {hint}."
