"""What a schema says about one field, after it was checked."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """The types of values; each has one or more spellings in schemas."""

    STRING = "string"
    INTEGER = "integer"
    NUMBER = "number"
    BOOLEAN = "boolean"
    LIST = "list"
    DICT = "dict"
    JSON = "json"
    DATETIME = "datetime"
    DATE = "date"
    EMAIL = "email"
    URL = "url"
    UUID = "uuid"
    ENUM = "enum"

    @property
    def is_scalar(self) -> bool:
        """Say whether values can be compared, and so be sorted, indexed and unique."""
        return self not in (Kind.LIST, Kind.DICT, Kind.JSON)


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One declared field, or the items of a list.

    ``default`` is in its stored form; ``None`` is no default. ``properties`` is ``None``
    for a dict that may hold anything.
    """

    name: str
    kind: Kind
    required: bool = False
    default: Any = None
    unique: bool = False
    indexed: bool = False
    strict: bool = False
    minimum: Any = None
    maximum: Any = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    values: tuple[str, ...] = ()
    items: FieldSpec | None = None
    properties: tuple[FieldSpec, ...] | None = None

    @property
    def must_be_given(self) -> bool:
        """Say whether a record without it is refused."""
        return self.required and self.default is None

    @property
    def absent(self) -> Any:
        """Return what is stored when nothing is given: a default, or the empty value."""
        if self.default is not None:
            return self.default
        if self.kind is Kind.LIST:
            return []
        return {} if self.kind is Kind.DICT else None

    @property
    def wants_index(self) -> bool:
        """Say whether there is an index on it."""
        return self.indexed or self.unique
