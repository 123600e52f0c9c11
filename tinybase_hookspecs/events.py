"""The events: what a hook receives.

Every event takes the fields that belong to it first, in a fixed order, so it can be built
positionally. The same seven fields are on every event; they have defaults, are given by
name, and say where it comes from:

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
receives a copy of its own: changing it changes nothing else, except in the hooks that are
asked *before* something happens, which say so.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import getrandbits
from typing import Any, TypeVar, dataclass_transform
from uuid import UUID


def _now() -> datetime:
    return datetime.now(UTC)


def _new_id() -> UUID:
    """Return a random id; none that nobody may guess, for which the system would be asked."""
    return UUID(int=getrandbits(128), version=4)


@dataclass(kw_only=True)
class Event:
    """What all events have: where they come from."""

    event_id: UUID = field(default_factory=_new_id, repr=False)
    occurred_at: datetime = field(default_factory=_now, repr=False)
    request_id: str | None = field(default=None, repr=False)
    actor: str = field(default="system", repr=False)
    actor_id: UUID | None = field(default=None, repr=False)
    origin: str = field(default="extension", repr=False)
    depth: int = field(default=0, repr=False)


_E = TypeVar("_E", bound=Event)


@dataclass_transform(field_specifiers=(field,))
def event(cls: type[_E]) -> type[_E]:
    """Make a dataclass of an event, whose own fields come before those that all have."""
    made = dataclass(cls)
    every = made.__dataclass_fields__
    shared = {name: every[name] for name in Event.__dataclass_fields__}
    made.__dataclass_fields__ = {**{k: v for k, v in every.items() if k not in shared}, **shared}
    return made


@event
class UserLoginEvent(Event):
    """Somebody signed in; their tokens are already stored."""

    user_id: UUID
    email: str
    is_admin: bool


@event
class UserRegisterEvent(Event):
    """A new user exists, whoever created it."""

    user_id: UUID
    email: str


@event
class RecordCreateEvent(Event):
    """A record was stored; ``data`` is its content as stored."""

    collection: str
    record_id: UUID
    data: dict[str, Any]
    owner_id: UUID | None


@event
class RecordUpdateEvent(Event):
    """A record changed; both contents are complete."""

    collection: str
    record_id: UUID
    old_data: dict[str, Any]
    new_data: dict[str, Any]
    owner_id: UUID | None


@event
class RecordDeleteEvent(Event):
    """A record is gone; ``data`` is its last content."""

    collection: str
    record_id: UUID
    data: dict[str, Any]
    owner_id: UUID | None


@event
class FunctionCallEvent(Event):
    """A function is about to run; ``payload`` has passed its input model."""

    function_name: str
    user_id: UUID | None
    payload: dict[str, Any]


@event
class FunctionCompleteEvent(Event):
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


@event
class RecordChangeEvent(Event):
    """A record was created, updated or deleted; ``action`` says which.

    ``action`` is ``"create"``, ``"update"`` or ``"delete"``. ``old_data`` is ``None`` for a
    new record and ``new_data`` for a deleted one.
    """

    action: str
    collection: str
    record_id: UUID
    old_data: dict[str, Any] | None
    new_data: dict[str, Any] | None
    owner_id: UUID | None


@event
class RecordWriteEvent(RecordChangeEvent):
    """A record was written in a transaction that is still open; the fields are as above."""


@event
class RecordWriteFailedEvent(Event):
    """A write of records was rolled back: nothing of it is stored.

    ``action`` is ``"create"``, ``"update"``, ``"delete"`` or ``"batch"``; ``record_id`` is
    ``None`` where the record had none yet, and for a batch. ``error_code`` is the code of
    the answer, ``error_message`` its sentence.
    """

    action: str
    collection: str
    record_id: UUID | None
    error_code: str
    error_message: str


@event
class UserLoginFailedEvent(Event):
    """Somebody could not sign in.

    ``user_id`` is ``None`` for an address that nobody has. ``reason`` is
    ``"unknown_email"``, ``"wrong_password"``, ``"inactive"`` or ``"rejected"``: by an
    extension, on purpose or because it failed.
    """

    email: str
    user_id: UUID | None
    reason: str


@event
class UserLogoutEvent(Event):
    """Somebody signed out; their tokens are revoked."""

    user_id: UUID
    email: str


@event
class UserUpdateEvent(Event):
    """A user changed; ``changes`` names the fields, such as ``("email",)``."""

    user_id: UUID
    email: str
    changes: tuple[str, ...]


@event
class UserDeleteEvent(Event):
    """A user is gone."""

    user_id: UUID
    email: str


@event
class PasswordChangeEvent(Event):
    """A user has another password; ``method`` is ``"change"``, ``"reset"`` or ``"admin"``."""

    user_id: UUID
    email: str
    method: str


@event
class CollectionCreateEvent(Event):
    """A collection exists; ``schema`` and ``options`` are as the REST API shows them."""

    collection: str
    schema: dict[str, Any]
    options: dict[str, Any]


@event
class CollectionUpdateEvent(Event):
    """A collection changed; what came before and what holds now."""

    collection: str
    old_schema: dict[str, Any]
    schema: dict[str, Any]
    old_options: dict[str, Any]
    options: dict[str, Any]


@event
class CollectionDeleteEvent(Event):
    """A collection is gone, and its records with it."""

    collection: str
    schema: dict[str, Any]
    options: dict[str, Any]


@event
class ExtensionEnableEvent(Event):
    """An extension was enabled by somebody while the server runs."""

    extension: str
    version: str


@event
class ExtensionDisableEvent(Event):
    """An extension was disabled by somebody while the server runs."""

    extension: str
    version: str


@event
class ErrorEvent(Event):
    """Something failed that nobody had foreseen.

    ``source`` is ``"request"``, ``"function"`` or ``"extension"``; ``extension`` and
    ``handler`` name whose code it was, if it was an extension's. ``error`` is the exception
    itself, with its traceback.
    """

    source: str
    error: BaseException
    extension: str | None
    handler: str | None
    method: str | None
    path: str | None
