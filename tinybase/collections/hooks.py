"""Telling the extensions about records, once what happened to them is durable."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Protocol

import pluggy

from tinybase.collections.collection import Collection
from tinybase.collections.record import RecordRow
from tinybase.db import Work
from tinybase.host import event_facts
from tinybase_hookspecs import RecordCreateEvent, RecordDeleteEvent, RecordUpdateEvent


class Hooks(Protocol):
    """The host, as far as this room knows it."""

    @property
    def pm(self) -> pluggy.PluginManager:
        """Return the plugin manager that is in force now."""


def tell_created(hooks: Hooks, work: Work, collection: Collection, record: RecordRow) -> None:
    """Tell that a record was created, after the commit."""
    hook = hooks.pm.hook.tinybase_on_record_create
    if hook.get_hookimpls():
        event = RecordCreateEvent(
            collection.name, record.id, record.data, record.owner_id, **event_facts()
        )
        work.after_commit(partial(hook, event=event))


def tell_updated(
    hooks: Hooks, work: Work, collection: Collection, before: RecordRow, after: RecordRow
) -> None:
    """Tell that a record was changed, after the commit."""
    hook = hooks.pm.hook.tinybase_on_record_update
    if hook.get_hookimpls():
        event = RecordUpdateEvent(
            collection.name, after.id, before.data, after.data, after.owner_id, **event_facts()
        )
        work.after_commit(partial(hook, event=event))


def tell_deleted(
    hooks: Hooks, work: Work, collection: Collection, records: Iterable[RecordRow]
) -> None:
    """Tell that records were deleted, one by one, after the commit.

    :param records: are not looked at when nobody listens.
    """
    hook = hooks.pm.hook.tinybase_on_record_delete
    if not hook.get_hookimpls():
        return
    facts = event_facts()
    for record in records:
        event = RecordDeleteEvent(collection.name, record.id, record.data, record.owner_id, **facts)
        work.after_commit(partial(hook, event=event))
