"""Telling the extensions about records, once what happened to them is durable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import partial
from typing import Any, Final

import pluggy

from tinybase.collections.collection import Collection
from tinybase.collections.record import RecordRow
from tinybase.db import Unit
from tinybase.host import as_caused_now, event_facts
from tinybase.host.plugin import is_heard
from tinybase.host.sites import Hooks
from tinybase_hookspecs import (
    RecordChangeEvent,
    RecordCreateEvent,
    RecordDeleteEvent,
    RecordUpdateEvent,
)

Heard = Mapping[str, pluggy.HookCaller]
"""The hooks that somebody wants to be called about the records of a collection, by their names."""

_NAMES: Final = (
    "tinybase_before_record_create",
    "tinybase_before_record_update",
    "tinybase_before_record_delete",
    "tinybase_on_record_write",
    "tinybase_on_record_create",
    "tinybase_on_record_update",
    "tinybase_on_record_delete",
    "tinybase_on_record_change",
    "tinybase_on_record_write_failed",
)
_MOST_KNOWN: Final = 10_000


class Audience:
    """Tells who wants to know of the records of a collection.

    It is found out once for each, and anew for other extensions: a snapshot is complete
    before the first question.
    """

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._known: tuple[pluggy.PluginManager, dict[str, Heard | None]] | None = None

    def of(self, collection: Collection) -> Heard | None:
        """Return the hooks that somebody wants to be called, or ``None`` if there are none."""
        pm, known = self._hooks.pm, self._known
        if known is None or known[0] is not pm or len(known[1]) >= _MOST_KNOWN:
            known = self._known = (pm, {})
        try:
            return known[1][collection.name]
        except KeyError:
            found = known[1][collection.name] = _heard(pm, collection.name)
            return found


def _heard(pm: pluggy.PluginManager, collection: str) -> Heard | None:
    hooks = {name: getattr(pm.hook, name) for name in _NAMES}
    return {
        name: hook for name, hook in hooks.items() if is_heard(hook, "collection", collection)
    } or None


def tell_created(
    heard: Heard | None, work: Unit, collection: Collection, record: RecordRow
) -> None:
    """Tell that a record was created, after the commit.

    :raises Conflict: as :func:`event_facts`; likewise all that follow.
    """
    if heard is None:
        return
    hook = heard.get("tinybase_on_record_create")
    if hook is not None:
        event = RecordCreateEvent(
            collection.name, record.id, record.data, record.owner_id, **event_facts()
        )
        work.after_commit(as_caused_now(partial(hook, event=event)))
    _tell_changed(heard, work, collection, None, record)


def tell_updated(
    heard: Heard | None, work: Unit, collection: Collection, before: RecordRow, after: RecordRow
) -> None:
    """Tell that a record was changed, after the commit."""
    if heard is None:
        return
    hook = heard.get("tinybase_on_record_update")
    if hook is not None:
        event = RecordUpdateEvent(
            collection.name, after.id, before.data, after.data, after.owner_id, **event_facts()
        )
        work.after_commit(as_caused_now(partial(hook, event=event)))
    _tell_changed(heard, work, collection, before, after)


def tell_deleted(
    heard: Heard | None, work: Unit, collection: Collection, records: Iterable[RecordRow]
) -> None:
    """Tell that records were deleted, one by one, after the commit.

    :param records: are not looked at when nobody listens.
    """
    if heard is None:
        return
    hook = heard.get("tinybase_on_record_delete")
    if hook is None and "tinybase_on_record_change" not in heard:
        return
    for record in records:
        if hook is not None:
            event = RecordDeleteEvent(
                collection.name, record.id, record.data, record.owner_id, **event_facts()
            )
            work.after_commit(as_caused_now(partial(hook, event=event)))
        _tell_changed(heard, work, collection, record, None)


def change_of(
    collection: Collection, before: RecordRow | None, after: RecordRow | None
) -> dict[str, Any]:
    """Return what the events have that are the same for every kind of change."""
    record = after or before
    assert record is not None  # noqa: S101 - one of them is there
    return {
        "action": "create" if before is None else "delete" if after is None else "update",
        "collection": collection.name,
        "record_id": record.id,
        "old_data": before and before.data,
        "new_data": after and after.data,
        "owner_id": record.owner_id,
    }


def _tell_changed(
    heard: Heard,
    work: Unit,
    collection: Collection,
    before: RecordRow | None,
    after: RecordRow | None,
) -> None:
    hook = heard.get("tinybase_on_record_change")
    if hook is not None:
        event = RecordChangeEvent(**change_of(collection, before, after), **event_facts())
        work.after_commit(as_caused_now(partial(hook, event=event)))
