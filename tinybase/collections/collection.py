"""One collection, as the services hand it around."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from tinybase.collections.access import Access
from tinybase.collections.compiled import CompiledSchema
from tinybase.collections.options import Options


@dataclass(frozen=True, slots=True)
class Collection:
    """One version of a collection.

    ``schema`` and ``options`` are as given; ``compiled``, ``rules`` and ``settings`` are
    what they mean. ``access`` is the effective rules in the form that clients see, and
    ``guarded_by`` the extension without which only admins reach the records.
    """

    id: UUID
    name: str
    label: str
    schema: Mapping[str, Any]
    options: Mapping[str, Any]
    guarded_by: str | None
    version: int
    created_at: datetime
    updated_at: datetime
    compiled: CompiledSchema
    rules: Access
    settings: Options

    @property
    def access(self) -> dict[str, str]:
        """Return the effective rule of each operation."""
        return self.rules.as_dict()
