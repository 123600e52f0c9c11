"""Organisations, and who belongs to them.

Both are collections: admins work with them as with any other, and the handlers here refuse
what would not make sense.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from tinybase.db.models import User
from tinybase.extensions import (
    BeforeRecordCreateEvent,
    BeforeRecordDeleteEvent,
    BeforeRecordUpdateEvent,
    Reject,
    before_record_create,
    before_record_delete,
    before_record_update,
    register_collection,
)
from tinybase.functions import Context, NotFound

from .settings import FIELD, Settings

ONLY_ADMINS: Final = dict.fromkeys(("list", "read", "create", "update", "delete"), "admin")

ORGANISATIONS: Final = register_collection(
    "organisations",
    {
        "fields": [
            {"name": "name", "type": "string", "required": True, "unique": True, "min_length": 1},
            {"name": "contract_begins", "type": "date"},
            {"name": "contract_ends", "type": "date"},
        ]
    },
    {"access": {**ONLY_ADMINS, "list": "auth", "read": "auth"}},
)
"""Whoever is signed in may look; ``walls`` shows them their own."""

MEMBERSHIPS: Final = register_collection(
    "memberships",
    {
        "fields": [
            {"name": "user", "type": "uuid", "required": True, "unique": True},
            {"name": FIELD, "type": "uuid", "required": True, "indexed": True},
        ]
    },
    {"access": ONLY_ADMINS},
)
"""A user belongs to one organisation at most: ``user`` is unique."""


def organisations_of(user_id: UUID | None, ctx: Context) -> list[str]:
    """Return the organisation of a user in a list; it is empty where there is none.

    It is looked up each time. Claims of a token would be as old as the sign-in, and who was
    dismissed in the morning would see everything until the evening.
    """
    if user_id is None:
        return []
    found = ctx.records.list(MEMBERSHIPS, filters={"user": str(user_id)}, limit=1, count=False)
    return [membership.data[FIELD] for membership in found.records]


def require_organisation(organisation: str, ctx: Context) -> None:
    """Refuse an organisation that there is not."""
    try:
        ctx.records.get(ORGANISATIONS, UUID(organisation))
    except NotFound:
        raise Reject(
            f"There is no organisation {organisation}.", 422, "organisation_unknown"
        ) from None


@before_record_create(collection=ORGANISATIONS)
@before_record_update(collection=ORGANISATIONS)
def check_contract(event: BeforeRecordCreateEvent | BeforeRecordUpdateEvent) -> None:
    """Refuse a contract that ends before it begins: what no check of a single field sees."""
    begins, ends = event.data.get("contract_begins"), event.data.get("contract_ends")
    if begins and ends and ends < begins:  # dates are texts that sort by time
        raise Reject(
            f"The contract would end on {ends}, before it begins on {begins}.",
            422,
            "contract_ends_too_early",
        )


@before_record_create(collection=MEMBERSHIPS)
@before_record_update(collection=MEMBERSHIPS)
def check_membership(
    event: BeforeRecordCreateEvent | BeforeRecordUpdateEvent, ctx: Context
) -> None:
    """Refuse members who do not exist, of organisations that do not."""
    require_organisation(event.data[FIELD], ctx)
    if ctx.db.get(User, UUID(event.data["user"])) is None:
        raise Reject(f"There is no user {event.data['user']}.", 422, "user_unknown")


@before_record_delete(collection=ORGANISATIONS)
def keep_what_is_in_use(event: BeforeRecordDeleteEvent, ctx: Context) -> None:
    """Refuse to delete an organisation that has members or records."""
    for collection in (MEMBERSHIPS, *Settings.collections):
        if _of(collection, str(event.record_id), ctx):
            raise Reject(
                f"The organisation {event.data['name']} still has {collection}.",
                409,
                "organisation_in_use",
            )


def _of(collection: str, organisation: str, ctx: Context) -> Sequence[Any]:
    try:
        return ctx.records.list(
            collection, filters={FIELD: organisation}, limit=1, count=False
        ).records
    except NotFound:  # a collection can be divided before it is made
        return []
