"""What of an event is written down."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final
from uuid import UUID

from tinybase.extensions import (
    FunctionCallEvent,
    FunctionCompleteEvent,
    RecordCreateEvent,
    RecordDeleteEvent,
    RecordUpdateEvent,
    UserLoginEvent,
    UserRegisterEvent,
)

Event = (
    RecordCreateEvent
    | RecordUpdateEvent
    | RecordDeleteEvent
    | UserLoginEvent
    | UserRegisterEvent
    | FunctionCallEvent
    | FunctionCompleteEvent
)


class Kind(StrEnum):
    """What entries call the kinds of events."""

    RECORD_CREATE = "record_create"
    RECORD_UPDATE = "record_update"
    RECORD_DELETE = "record_delete"
    USER_LOGIN = "user_login"
    USER_REGISTER = "user_register"
    FUNCTION_CALL = "function_call"
    FUNCTION_COMPLETE = "function_complete"


_KINDS: Final[dict[type[Event], Kind]] = {
    RecordCreateEvent: Kind.RECORD_CREATE,
    RecordUpdateEvent: Kind.RECORD_UPDATE,
    RecordDeleteEvent: Kind.RECORD_DELETE,
    UserLoginEvent: Kind.USER_LOGIN,
    UserRegisterEvent: Kind.USER_REGISTER,
    FunctionCallEvent: Kind.FUNCTION_CALL,
    FunctionCompleteEvent: Kind.FUNCTION_COMPLETE,
}

KEEPS_VALUES: Final = os.environ.get("AUDIT_TRAIL_VALUES", "").lower() in {"1", "true", "yes", "on"}
"""Whether entries hold the values of fields, or only their names.

Names are the default: payloads hold passwords now and then, and what somebody asked to be
deleted must not live on here unless the operator wants it.
"""


def describe(event: Event, *, values: bool = KEEPS_VALUES) -> dict[str, Any]:
    """Return the entry for an event, as the data of a record."""
    actor, actor_id = _actor(event)
    return {
        "event_id": str(event.event_id),
        "occurred_at": write_time(event.occurred_at),
        "kind": _KINDS[type(event)].value,
        "actor": actor,
        "actor_id": _text(actor_id),
        "origin": event.origin,
        "request_id": event.request_id,
        "depth": event.depth,
        "collection": getattr(event, "collection", None),
        "record_id": _text(getattr(event, "record_id", None)),
        "user_id": _text(getattr(event, "user_id", None)),
        "function_name": getattr(event, "function_name", None),
        "details": _details(event, values=values),
    }


def write_time(time: datetime) -> str:
    """Write a time as TinyBase does, so that texts sort by time; one without a zone is UTC."""
    aware = time if time.tzinfo else time.replace(tzinfo=UTC)
    return aware.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _actor(event: Event) -> tuple[str, UUID | None]:
    """Return who did it. A login comes from nobody yet; it is the user who signs in."""
    if isinstance(event, UserLoginEvent):
        return ("admin" if event.is_admin else "user"), event.user_id
    return event.actor, event.actor_id


def _details(event: Event, *, values: bool) -> dict[str, Any]:
    match event:
        case RecordCreateEvent() | RecordDeleteEvent():
            return {"owner_id": _text(event.owner_id), **_content("data", event.data, values)}
        case RecordUpdateEvent():
            changes = _changes(event.old_data, event.new_data)
            return {"owner_id": _text(event.owner_id), **_content("changes", changes, values)}
        case UserLoginEvent():
            return {"email": event.email, "is_admin": event.is_admin}
        case UserRegisterEvent():
            return {"email": event.email}
        case FunctionCallEvent():
            return _content("payload", event.payload, values)
        case FunctionCompleteEvent():
            return {
                "status": event.status,
                "duration_ms": event.duration_ms,
                "error_type": event.error_type,
                **({"error_message": event.error_message} if values else {}),
            }


def _content(name: str, content: dict[str, Any], values: bool) -> dict[str, Any]:  # noqa: FBT001
    return {name: content} if values else {"fields": sorted(content)}


def _changes(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    return {
        name: {"old": old.get(name), "new": new.get(name)}
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    }


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)
