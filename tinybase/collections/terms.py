"""What a list of records may be asked for: filter terms and sort keys.

Here is their syntax only; whether a field or an operator exists, and what a value means,
is known to :mod:`tinybase.collections.query`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from tinybase.errors import BadRequest

MOST_TERMS = 20
MOST_VALUES = 100
MOST_SORT_KEYS = 5

OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "startswith", "null")
SEVERAL = frozenset({"in", "nin"})
"""The operators that take several values."""

FILTER_KEY = re.compile(r"filter\[([^\[\]]*)\](?:\[([^\[\]]*)\])?")
"""The query keys that are filter terms: ``filter[field]`` and ``filter[field][op]``."""

_PART = re.compile(r"(?:[^\\,]|\\.|\\$)*", re.DOTALL)


class Term(NamedTuple):
    """One condition. Values are texts from a query string, or Python values from code."""

    field: str
    operator: str
    values: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Condition:
    """What an extension wants records to meet.

    :param refuse: raises the error for terms that the collection cannot have, and names the
        extension in it.
    """

    terms: Sequence[Term]
    refuse: Callable[[BadRequest], object]


class SortKey(NamedTuple):
    """One field to sort by."""

    field: str
    descending: bool = False


def parse_terms(pairs: Iterable[tuple[str, str]]) -> list[Term]:
    """Read the filter terms of a query string; other keys are passed over.

    :raises BadRequest: ``duplicate_parameter`` when a term that takes one value is there
        twice; ``invalid_filter`` when there are too many.
    """
    values: dict[tuple[str, str | None], list[str]] = {}
    for key, value in pairs:
        match = FILTER_KEY.fullmatch(key)
        if match is None:
            continue
        # "filter[a]" and "filter[a][eq]" are two keys and so two terms.
        field, operator = match.group(1), match.group(2)
        if (field, operator) in values and operator not in SEVERAL:
            raise BadRequest(
                "A filter term with one value is there twice; use the operator 'in'.",
                code="duplicate_parameter",
            )
        values.setdefault((field, operator), []).append(value)
    return check_terms(
        Term(field, "eq" if operator is None else operator, _values(operator, texts))
        for (field, operator), texts in values.items()
    )


def terms_of(filters: Mapping[str, Any]) -> list[Term]:
    """Read filters as code writes them: ``{"status": "open", "price": {"gte": 3}}``."""
    return check_terms(
        Term(field, operator, _coded_values(operator, value))
        for field, condition in filters.items()
        for operator, value in (
            condition.items() if isinstance(condition, Mapping) else [("eq", condition)]
        )
    )


def check_terms(terms: Iterable[Term]) -> list[Term]:
    """Return the terms as a list.

    :raises BadRequest: ``invalid_filter`` when there are too many of them or of their values.
    """
    checked = list(terms)
    if len(checked) > MOST_TERMS:
        raise BadRequest(f"At most {MOST_TERMS} filter terms.", code="invalid_filter")
    if any(len(term.values) > MOST_VALUES for term in checked):
        raise BadRequest(f"At most {MOST_VALUES} values in a filter.", code="invalid_filter")
    return checked


def parse_sort(text: str) -> list[SortKey]:
    """Read sort keys as in ``-price,created_at``.

    :raises BadRequest: ``invalid_sort`` when there are too many.
    """
    return check_sort(
        SortKey(key.removeprefix("-"), descending=key.startswith("-")) for key in text.split(",")
    )


def check_sort(keys: Iterable[SortKey]) -> list[SortKey]:
    """Return the keys as a list.

    :raises BadRequest: ``invalid_sort`` when there are too many.
    """
    checked = list(keys)
    if len(checked) > MOST_SORT_KEYS:
        raise BadRequest(f"At most {MOST_SORT_KEYS} sort keys.", code="invalid_sort")
    return checked


def _values(operator: str | None, given: Sequence[Any]) -> tuple[Any, ...]:
    if operator not in SEVERAL:
        return tuple(given)
    return tuple(
        value for item in given for value in (_split(item) if isinstance(item, str) else [item])
    )


def _coded_values(operator: str, value: Any) -> tuple[Any, ...]:
    several = operator in SEVERAL and isinstance(value, list | tuple | set | frozenset)
    return tuple(value) if several else _values(operator, [value])


def _split(text: str) -> list[str]:
    r"""Split at commas; ``\,`` is a comma and ``\\`` a backslash."""
    parts, position = [], 0
    while True:
        match = _PART.match(text, position)
        assert match is not None  # noqa: S101 (the pattern matches the empty text)
        parts.append(re.sub(r"\\([\\,])", r"\1", match.group()))
        position = match.end() + 1
        if position > len(text):
            return parts
