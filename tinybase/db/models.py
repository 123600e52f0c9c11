"""The tables of which extensions may rely on, as SQLAlchemy models.

Reading them is always fine. Write records through ``ctx.records``, so that they are checked
and the hooks of other extensions run. TinyBase itself does without them: mapping classes
takes longer than anything else that could be done before the first answer.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Mapped

from tinybase.db import tables
from tinybase.db.session import db


class User(db.Model):  # type: ignore[name-defined,misc]
    """Somebody who can sign in. ``email_key`` is the case-folded form that is unique."""

    __table__ = tables.users

    id: Mapped[UUID]
    email: Mapped[str]
    email_key: Mapped[str]
    password_hash: Mapped[str]
    is_admin: Mapped[bool]
    is_active: Mapped[bool]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Collection(db.Model):  # type: ignore[name-defined,misc]
    """A named set of records with a schema. ``schema`` and ``options`` are as given.

    ``guarded_by`` is the extension without which only admins reach the records.
    """

    __table__ = tables.collections

    id: Mapped[UUID]
    name: Mapped[str]
    label: Mapped[str]
    schema: Mapped[dict[str, Any]]
    options: Mapped[dict[str, Any]]
    guarded_by: Mapped[str | None]
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Record(db.Model):  # type: ignore[name-defined,misc]
    """One record. ``data`` is its content, ``version`` counts its effective writes from 1."""

    __table__ = tables.records

    id: Mapped[UUID]
    collection_id: Mapped[UUID]
    owner_id: Mapped[UUID | None]
    data: Mapped[dict[str, Any]]
    version: Mapped[int]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
