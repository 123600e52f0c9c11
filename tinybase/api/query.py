"""Reading query strings, with nothing ignored and nothing guessed."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, urlencode

from marshmallow import ValidationError
from marshmallow.fields import List
from werkzeug.datastructures import ImmutableMultiDict

from tinybase.api.json import TEXT_FAULTS, text_fault
from tinybase.api.schemas import Query, load_faults
from tinybase.errors import BadRequest, Fault, Invalid

_LONGEST_ECHO = 100
_LONGEST_KEPT = 300
_MOST_KEPT = 500
_PLACES = frozenset({"cursor", "offset"})


class RawQuery(ImmutableMultiDict[str, str]):
    """The keys and values of a query string, in their order."""

    @cached_property
    def of_any_page(self) -> str:
        """Return it as a query string, without what says which page is wanted."""
        kept = [pair for pair in self.items(multi=True) if pair[0] not in _PLACES]
        return urlencode(kept)


NO_QUERY = RawQuery()


class QueryReader:
    """Reads the query strings of one operation.

    What one means is kept for the next request: programs ask for the same few kinds of pages.
    """

    def __init__(self, schema: Query | None, patterns: Sequence[re.Pattern[str]]) -> None:
        self._schema = schema
        self._patterns = patterns
        self._known: dict[str, tuple[RawQuery, dict[str, Any]]] = {}

    def read(self, text: str) -> tuple[RawQuery, dict[str, Any]]:
        """Return what a query string has, and the checked parameters, defaults included.

        :raises BadRequest: for a key that is unknown, or repeated though it has one value.
        :raises Invalid: for values that do not fit, and what :func:`parse_query` refuses.
        """
        known = self._known.get(text)
        if known is None:
            raw = parse_query(text)
            known = raw, load_query(raw, self._schema, self._patterns)
            if len(text) <= _LONGEST_KEPT:
                if len(self._known) >= _MOST_KEPT:
                    self._known.clear()
                self._known[text] = known
        return known[0], known[1].copy()


def parse_query(text: str) -> RawQuery:
    """Split a query string into its keys and values, in their order.

    :raises Invalid: for what is not UTF-8 behind its percent signs, or cannot be stored.
    """
    if not text:
        return NO_QUERY
    try:
        raw = text.encode("latin-1")  # as which WSGI has its bytes
        pairs = parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError as error:
        message = "Must be UTF-8, percent-encoded."
        raise Invalid([Fault(("query",), message, "invalid_encoding")]) from error
    for key, value in pairs:
        fault = text_fault(key) or text_fault(value)
        if fault:
            raise Invalid([Fault(("query", key.replace("\0", "")), TEXT_FAULTS[fault], fault)])
    return RawQuery(pairs)


def load_query(
    values: RawQuery, schema: Query | None, patterns: Sequence[re.Pattern[str]]
) -> dict[str, Any]:
    """Return the checked parameters, defaults included.

    :raises BadRequest: for a key that is unknown, or repeated though it has one value.
    :raises Invalid: for values that do not fit.
    :raises TinyBaseError: what the schema refuses beside these.
    """
    if schema is None:
        _check_known(values, (), patterns)
        return {}
    given = _given(values, schema, patterns) if values else {}
    try:
        loaded: dict[str, Any] = schema.load(given)
    except ValidationError as error:
        raise Invalid(load_faults(error.messages, "query")) from error
    return schema.complete(loaded, list(values.items(multi=True)))


def _given(values: RawQuery, schema: Query, patterns: Sequence[re.Pattern[str]]) -> dict[str, Any]:
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
