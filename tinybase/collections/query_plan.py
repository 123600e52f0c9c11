"""The statements of a list, compiled once for all lists that differ in their values only."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

from tinybase.collections.answered import COLUMNS
from tinybase.collections.query import Query
from tinybase.collections.query_keyset import Key, Nulls
from tinybase.db.reading import Reader, Statement


class ListPlan:
    """How one engine goes about such lists.

    :param missing: the fields that lack an index for it.
    """

    def __init__(self, reader: Reader, query: Query, missing: Sequence[str]) -> None:
        self.query = query
        self.missing = missing
        self._reader = reader
        self._after: dict[Nulls, list[Statement]] = {}
        self._places = _places(query.keys)

    @cached_property
    def page(self) -> Statement:
        """Return the statement for a page that is counted off."""
        return self._reader.statement(self.query.page())

    @cached_property
    def count(self) -> Statement:
        """Return the statement for the number of records in the list."""
        return self._reader.statement(self.query.count)

    @cached_property
    def one(self) -> Statement:
        """Return the statement for one record, if it is in the list."""
        return self._reader.statement(self.query.one())

    def after(self, nulls: Nulls) -> list[Statement]:
        """Return the statements for what comes after a place with these nulls."""
        known = self._after.get(nulls)
        if known is None:
            known = [self._reader.statement(each) for each in self.query.pages_after(nulls)]
            self._after[nulls] = known
        return known

    def place_of(self, row: Sequence[Any]) -> list[Any]:
        """Return the place of a record in the order; what are columns is as in an answer."""
        return [row[index] for index in self._places]


def _places(keys: Sequence[Key]) -> list[int]:
    """Return where in a row the value of each key is."""
    others = [key.label for key in keys if not key.is_column]
    names = [*COLUMNS, *others]
    return [names.index(key.label) for key in keys]
