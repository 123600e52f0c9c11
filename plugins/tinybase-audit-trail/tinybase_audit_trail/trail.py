"""The collection in which the trail is kept."""

from __future__ import annotations

from typing import Any, Final
from uuid import UUID

from tinybase.db.models import Record
from tinybase.functions import Context

NAME: Final = "audit_trail"

SCHEMA: Final[dict[str, Any]] = {
    "fields": [
        {"name": "event_id", "type": "uuid", "required": True},
        {"name": "occurred_at", "type": "datetime", "required": True, "indexed": True},
        {"name": "kind", "type": "string", "required": True},
        {"name": "actor", "type": "string", "required": True},
        {"name": "actor_id", "type": "uuid", "indexed": True},
        {"name": "origin", "type": "string", "required": True},
        {"name": "request_id", "type": "string"},
        {"name": "depth", "type": "integer", "required": True},
        {"name": "collection", "type": "string", "indexed": True},
        {"name": "record_id", "type": "uuid", "indexed": True},
        {"name": "user_id", "type": "uuid"},
        {"name": "function_name", "type": "string"},
        {"name": "details", "type": "dict"},
    ]
}

OPTIONS: Final = {
    "access": dict.fromkeys(("list", "read", "create", "update", "delete"), "admin"),
}
"""Nobody but admins; an operator may change the rules of the collection later."""


def prepare(ctx: Context) -> UUID:
    """Make the collection unless it is there, and return its id.

    :raises RuntimeError: if there is another collection of that name.
    """
    collection = ctx.collections.ensure(NAME, label="Audit trail", schema=SCHEMA, options=OPTIONS)
    needed = {field["name"] for field in SCHEMA["fields"]}
    lacking = needed - {field["name"] for field in collection.schema.get("fields", ())}
    if lacking:
        raise RuntimeError(
            f"the collection {NAME} is not that of the audit trail: it has no field "
            f"{min(lacking)}. Delete it, or move its records to one of another name."
        )
    return collection.id


def append(ctx: Context, entry: dict[str, Any]) -> None:
    """Add an entry; it is committed when the handler returns.

    It is written with ``ctx.db`` and not with ``ctx.records``, so that no hook runs: were
    an entry an event for others, two extensions that write about what they see would write
    about each other. The order of entries is that of the events.
    """
    ctx.db.add(Record(collection_id=prepare(ctx), data=entry))
