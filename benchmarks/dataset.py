"""The records that every target holds: the same content, in the same order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

COLLECTION = "items"
PLAIN = "plain"
"""A collection with the same fields and no index."""

USER = "ada@example.com"
PASSWORD = "correct-horse-battery"  # noqa: S105 - of a server that lives for a benchmark

CATEGORIES = 100
LISTED = 30

LOADED_AT = datetime(2026, 1, 1, tzinfo=UTC)
"""Records older than this were there before the benchmark began."""

_BEGIN = datetime(2024, 1, 1, tzinfo=UTC)
_NOTE = "Nothing that anybody would look for, but about as long as a note is. " * 2


def document(number: int) -> dict[str, Any]:
    """Return the content of one record."""
    return {
        "title": f"Item number {number}",
        "category": category(number),
        "score": number * 7919 % 100_000,
        "done": number % 3 == 0,
        "note": f"{_NOTE}{number}",
    }


def documents(count: int) -> Iterator[tuple[datetime, dict[str, Any]]]:
    """Yield records with the times at which they were made, the oldest first."""
    for number in range(count):
        yield _BEGIN + timedelta(seconds=number), document(number)


def category(number: int) -> str:
    """Return one of the categories, which all have about the same number of records."""
    return f"c{number % CATEGORIES}"


def new_document(number: int) -> dict[str, Any]:
    """Return the content of a record that is created while the servers are measured.

    It has a category of its own, so that the lists stay as long as they are.
    """
    return {**document(number), "category": "new"}
