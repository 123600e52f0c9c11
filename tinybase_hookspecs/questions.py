"""The events of the hooks that are asked: before something happens, or how to decide.

They have the fields of all events, see ``tinybase_hookspecs.events``. A field that may be
changed is named in the documentation of the event; all others are for reading.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from tinybase_hookspecs.events import Event, event


@event
class BeforeRecordCreateEvent(Event):
    """A record is about to be stored; ``data`` may be changed."""

    collection: str
    record_id: UUID
    data: dict[str, Any]
    owner_id: UUID | None


@event
class BeforeRecordUpdateEvent(Event):
    """A record is about to change; ``data`` is its whole new content and may be changed.

    ``old_data`` is the whole content as it is, and ``owner_id`` whose it will be.
    """

    collection: str
    record_id: UUID
    old_data: dict[str, Any]
    data: dict[str, Any]
    owner_id: UUID | None


@event
class BeforeRecordDeleteEvent(Event):
    """A record is about to be deleted; ``data`` is its content."""

    collection: str
    record_id: UUID
    data: dict[str, Any]
    owner_id: UUID | None


@event
class BeforeUserRegisterEvent(Event):
    """A user is about to be stored; ``data`` has the ``email`` and may be changed."""

    email: str
    data: dict[str, Any]


@event
class BeforeUserLoginEvent(Event):
    """Somebody gave the right password and is about to get their tokens."""

    user_id: UUID
    email: str
    is_admin: bool


@event
class BeforeFunctionCallEvent(Event):
    """A function is about to be called; ``payload`` may be changed."""

    function_name: str
    user_id: UUID | None
    payload: dict[str, Any]


@event
class BeforeCollectionCreateEvent(Event):
    """A collection is about to be created; ``data`` has ``schema`` and ``options``."""

    collection: str
    data: dict[str, Any]


@event
class BeforeCollectionUpdateEvent(Event):
    """A collection is about to be changed; ``data`` has the new ``schema`` and ``options``."""

    collection: str
    old_data: dict[str, Any]
    data: dict[str, Any]


@event
class BeforeCollectionDeleteEvent(Event):
    """A collection is about to be deleted, with all of its records."""

    collection: str
    data: dict[str, Any]


@event
class AccessEvent(Event):
    """Somebody wants to do something with the records of a collection.

    ``operation`` is ``"list"``, ``"read"``, ``"create"``, ``"update"`` or ``"delete"``;
    replacing a record is an update. ``record_id``, ``data`` and ``owner_id`` are those of
    the record as it is stored, and ``None`` for list and create.
    """

    operation: str
    collection: str
    record_id: UUID | None
    data: dict[str, Any] | None
    owner_id: UUID | None


@event
class RecordFilterEvent(Event):
    """Somebody is about to look at records; which of them exist for them?

    ``operation`` is as in :class:`AccessEvent`, but never ``"create"``.
    """

    operation: str
    collection: str


@event
class RecordRedactEvent(Event):
    """A record is about to be sent to somebody; ``data`` may be changed."""

    collection: str
    record_id: UUID
    data: dict[str, Any]
    owner_id: UUID | None


@event
class TokenClaimsEvent(Event):
    """Somebody signs in; what shall be kept with their tokens?"""

    user_id: UUID
    email: str
    is_admin: bool


@event
class RequestEvent(Event):
    """A request over HTTP, before anybody is known to have sent it.

    ``headers`` has lower-case names; ``query`` is the part of the address after ``?``.
    """

    method: str
    path: str
    query: str
    headers: dict[str, str]
    client: str


@event
class ResponseEvent(Event):
    """The answer to a request, before it is sent; ``headers`` may be changed."""

    method: str
    path: str
    status: int
    headers: dict[str, str]
