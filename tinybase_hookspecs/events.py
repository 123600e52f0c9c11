"""The events: what a hook receives.

Every event begins with the fields that belong to it, in a fixed order, so it can be
built positionally. After them come the same seven fields on every event, all with
defaults, that say where it comes from:

``event_id``
    Unique per event; every handler of one event sees the same id.
``occurred_at``
    When it happened, in UTC.
``request_id``
    The ``X-Request-Id`` of the HTTP request behind it, or ``None``.
``actor``
    Who caused it: ``"anonymous"``, ``"user"``, ``"admin"``, ``"application"`` or ``"system"``.
``actor_id``
    The id of that user or admin, or ``None`` for everybody else.
``origin``
    The door it came through: ``"http"``, ``"cli"``, ``"function"`` or ``"extension"``.
``depth``
    0 for what a client caused, 1 for what a handler of that caused, and so on.

``data``, ``old_data``, ``new_data`` and ``payload`` hold plain JSON values. Each handler
receives a copy of its own: changing it changes nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass
class UserLoginEvent:
    """Somebody signed in; their tokens are already stored."""

    user_id: UUID
    email: str
    is_admin: bool
    event_id: UUID = field(default_factory=uuid4)
    occurred_at: datetime = field(default_factory=_now)
    request_id: str | None = None
    actor: str = "system"
    actor_id: UUID | None = None
    origin: str = "extension"
    depth: int = 0


@dataclass
class UserRegisterEvent:
    """A new user exists, whoever created it."""

    user_id: UUID
    email: str
    event_id: UUID = field(default_factory=uuid4)
    occurred_at: datetime = field(default_factory=_now)
    request_id: str | None = None
    actor: str = "system"
    actor_id: UUID | None = None
    origin: str = "extension"
    depth: int = 0


@dataclass
class RecordCreateEvent:
    """A record was stored; ``data`` is its content as stored."""

    collection: str
    record_id: UUID
    data: dict[str, Any]
    owner_id: UUID | None
    event_id: UUID = field(default_factory=uuid4)
    occurred_at: datetime = field(default_factory=_now)
    request_id: str | None = None
    actor: str = "system"
    actor_id: UUID | None = None
    origin: str = "extension"
    depth: int = 0


@dataclass
class RecordUpdateEvent:
    """A record changed; both contents are complete."""

    collection: str
    record_id: UUID
    old_data: dict[str, Any]
    new_data: dict[str, Any]
    owner_id: UUID | None
    event_id: UUID = field(default_factory=uuid4)
    occurred_at: datetime = field(default_factory=_now)
    request_id: str | None = None
    actor: str = "system"
    actor_id: UUID | None = None
    origin: str = "extension"
    depth: int = 0


@dataclass
class RecordDeleteEvent:
    """A record is gone; ``data`` is its last content."""

    collection: str
    record_id: UUID
    data: dict[str, Any]
    owner_id: UUID | None
    event_id: UUID = field(default_factory=uuid4)
    occurred_at: datetime = field(default_factory=_now)
    request_id: str | None = None
    actor: str = "system"
    actor_id: UUID | None = None
    origin: str = "extension"
    depth: int = 0


@dataclass
class FunctionCallEvent:
    """A function is about to run; ``payload`` has passed its input model."""

    function_name: str
    user_id: UUID | None
    payload: dict[str, Any]
    event_id: UUID = field(default_factory=uuid4)
    occurred_at: datetime = field(default_factory=_now)
    request_id: str | None = None
    actor: str = "system"
    actor_id: UUID | None = None
    origin: str = "extension"
    depth: int = 0


@dataclass
class FunctionCompleteEvent:
    """A function call ended and is recorded.

    ``status`` is ``"succeeded"`` or ``"failed"``; the two ``error_*`` fields are ``None``
    exactly when it succeeded.
    """

    function_name: str
    user_id: UUID | None
    status: str
    duration_ms: int
    error_message: str | None
    error_type: str | None
    event_id: UUID = field(default_factory=uuid4)
    occurred_at: datetime = field(default_factory=_now)
    request_id: str | None = None
    actor: str = "system"
    actor_id: UUID | None = None
    origin: str = "extension"
    depth: int = 0
