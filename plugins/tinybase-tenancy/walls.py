"""The walls between organisations, in the collections that are divided.

Three things make a wall. A filter hides what belongs to others, from every list, total, id
and write. What is created gets the organisation of who creates it. And a record stays with
its organisation, whatever a client sends. Admins, and code of the server, pass.
"""

from typing import Any

from tinybase.extensions import (
    BeforeCollectionCreateEvent,
    BeforeCollectionUpdateEvent,
    BeforeRecordCreateEvent,
    BeforeRecordUpdateEvent,
    RecordFilterEvent,
    Reject,
    before_collection_create,
    before_collection_update,
    before_record_create,
    before_record_update,
    filter_records,
)
from tinybase.functions import Context

from .directory import ORGANISATIONS, organisations_of, require_organisation
from .settings import FIELD, is_divided


@filter_records()
def only_ours(event: RecordFilterEvent, ctx: Context) -> dict[str, Any] | None:
    """Hide what belongs to other organisations; who belongs to none sees nothing."""
    if ctx.is_admin or not is_divided(event.collection):
        return None
    return {FIELD: {"in": organisations_of(event.actor_id, ctx)}}


@filter_records(collection=ORGANISATIONS)
def only_our_own(event: RecordFilterEvent, ctx: Context) -> dict[str, Any] | None:
    """Show people the organisation they belong to, and no others."""
    return None if ctx.is_admin else {"id": {"in": organisations_of(event.actor_id, ctx)}}


@before_record_create(tryfirst=True)
def make_ours(event: BeforeRecordCreateEvent, ctx: Context) -> None:
    """Give a new record to the organisation of who creates it.

    It comes first, so that other extensions know whose record they are asked about.
    """
    if not is_divided(event.collection):
        return
    given = event.data.get(FIELD)
    ours = organisations_of(event.actor_id, ctx)
    if ctx.is_admin:
        event.data[FIELD] = _chosen(given, ours, ctx)
    elif not ours:
        raise Reject(
            "You belong to no organisation yet; ask an admin to add you.", 403, "no_organisation"
        )
    else:
        _refuse_another(given, ours[0])
        event.data[FIELD] = ours[0]


@before_record_update(tryfirst=True)
def stay_ours(event: BeforeRecordUpdateEvent, ctx: Context) -> None:
    """Keep a record in its organisation; only an admin moves it to another one."""
    if not is_divided(event.collection):
        return
    theirs, given = event.old_data.get(FIELD), event.data.get(FIELD)
    if given is None:  # PUT replaces everything, and need not repeat whose it is
        event.data[FIELD] = theirs
    elif ctx.is_admin and given != theirs:
        require_organisation(given, ctx)
    else:
        _refuse_another(given, theirs)


@before_collection_create()
@before_collection_update()
def have_the_field(event: BeforeCollectionCreateEvent | BeforeCollectionUpdateEvent) -> None:
    """Add the field that says whose a record is, so that nobody has to think of it."""
    if not is_divided(event.collection):
        return
    fields = event.data["schema"].setdefault("fields", [])
    if not any(field["name"] == FIELD for field in fields):
        fields.append({"name": FIELD, "type": "uuid", "indexed": True})


def _chosen(given: str | None, ours: list[str], ctx: Context) -> str:
    """Return the organisation that an admin names, else their own."""
    if given is not None:
        require_organisation(given, ctx)
        return given
    if ours:
        return ours[0]
    raise Reject(f"Say whose record it is, in the field {FIELD}.", 422, "organisation_missing")


def _refuse_another(given: str | None, ours: str | None) -> None:
    """Refuse the organisation of somebody else, whether or not there is such a one."""
    if given not in (None, ours):
        raise Reject(f"Leave {FIELD} out, or give your own.", 403, "organisation_of_others")
