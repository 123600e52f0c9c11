"""Who wants to hear of what: a collection in which admins add receivers."""

from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any, Final

from tinybase.extensions import (
    BeforeRecordCreateEvent,
    BeforeRecordUpdateEvent,
    Reject,
    before_record_create,
    before_record_update,
    register_collection,
)
from tinybase.functions import Context

from .network import Refused, check_url

EVENTS: Final = (
    "record.create",
    "record.update",
    "record.delete",
    "user.register",
    "user.login",
    "user.update",
    "user.delete",
)

ONLY_ADMINS: Final = dict.fromkeys(("list", "read", "create", "update", "delete"), "admin")

ENDPOINTS: Final = register_collection(
    "webhook_endpoints",
    {
        "fields": [
            {"name": "url", "type": "url", "required": True},
            {"name": "events", "type": "list[string]", "default": ["*"]},
            {"name": "collections", "type": "list[string]", "default": ["*"]},
            {"name": "is_active", "type": "boolean", "default": True, "required": True},
        ]
    },
    {"access": ONLY_ADMINS},
)


def listeners(ctx: Context, event: str, collection: str | None = None) -> Iterator[Any]:
    """Yield the endpoints that want to hear of an event."""
    cursor = None
    while True:
        page = ctx.records.list(
            ENDPOINTS, filters={"is_active": True}, limit=1000, cursor=cursor, count=False
        )
        for endpoint in page.records:
            if _wants(endpoint.data["events"], event) and (
                collection is None or _wants(endpoint.data["collections"], collection)
            ):
                yield endpoint
        cursor = page.next_cursor
        if cursor is None:
            return


@before_record_create(collection=ENDPOINTS)
@before_record_update(collection=ENDPOINTS)
def check_endpoint(event: BeforeRecordCreateEvent | BeforeRecordUpdateEvent) -> None:
    """Refuse an address that is none, and events that will never happen."""
    try:
        check_url(event.data["url"])
    except Refused as error:
        raise Reject(str(error), 422, "webhook_url") from None
    for pattern in event.data["events"] or ():
        if not any(fnmatchcase(name, pattern) for name in EVENTS):
            raise Reject(
                f"There is no event {pattern}. There are {', '.join(EVENTS)}.", 422, "webhook_event"
            )


def _wants(patterns: list[str] | None, name: str) -> bool:
    """Say whether one of the patterns matches; no list is all."""
    return patterns is None or any(fnmatchcase(name, pattern) for pattern in patterns)
