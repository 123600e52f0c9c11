"""Records, as the service hands them out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import Row

from tinybase.collections.collection import Collection
from tinybase.collections.compiled import Document
from tinybase.collections.spec import FieldSpec
from tinybase.db import format_time


@dataclass(frozen=True, slots=True)
class RecordRow:
    """One record; ``data`` has every declared field, or those that were asked for."""

    id: UUID
    collection_id: UUID
    owner_id: UUID | None
    data: Document
    version: int
    created_at: datetime
    updated_at: datetime

    def columns(self) -> dict[str, Any]:
        """Return it as a row of the table."""
        return {name: getattr(self, name) for name in type(self).__slots__}

    def only(self, specs: Mapping[str, FieldSpec] | None) -> RecordRow:
        """Return it with these fields of the data; ``None`` is all of them."""
        if specs is None:
            return self
        return replace(self, data={name: self.data[name] for name in specs if name in self.data})

    def as_json(self) -> bytes:
        """Return it as the API shows it."""
        shown = {
            "id": self.id,
            "collection_id": self.collection_id,
            "owner_id": self.owner_id,
            "data": self.data,
            "version": self.version,
            "created_at": format_time(self.created_at),
            "updated_at": format_time(self.updated_at),
        }
        return orjson.dumps(shown)


@dataclass(frozen=True, slots=True)
class RecordPage:
    """One page of a list.

    ``total`` is ``None`` when nobody asked to count, ``offset`` when the page was found by a
    cursor, and ``next_cursor`` when nothing comes after it.
    """

    records: Sequence[RecordRow]
    total: int | None
    limit: int
    offset: int | None
    next_cursor: str | None


def shown(
    collection: Collection, row: Row[Any], specs: Mapping[str, FieldSpec] | None = None
) -> RecordRow:
    """Return a stored record as its collection shows it.

    :param specs: only these fields of the data.
    """
    return RecordRow(
        id=row.id,
        collection_id=row.collection_id,
        owner_id=row.owner_id,
        data=collection.compiled.show(row.data, specs),
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
