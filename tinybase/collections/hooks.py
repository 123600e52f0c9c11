"""Telling the extensions about records, once what happened to them is durable."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pluggy

from tinybase.collections.collection import Collection
from tinybase.collections.record import RecordRow
from tinybase.db import Unit
from tinybase.host import event_facts
from tinybase.host.plugin import is_heard
from tinybase.host.sites import Hooks
from tinybase_hookspecs import (
    RecordChangeEvent,
    RecordCreateEvent,
    RecordDeleteEvent,
    RecordUpdateEvent,
)

_MOST_KNOWN = 10_000


class Audience:
    """Tells who is to be told; ``pm`` is the plugin manager that is in force now.

    Whether anybody wants the events of a collection is found out once for each.
    """

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._known: tuple[pluggy.PluginManager, dict[tuple[str, str], tuple[int, bool]]] | None
        self._known = None

    def hook(self, name: str, collection: Collection) -> pluggy.HookCaller | None:
        """Return a hook if somebody wants to be called about a collection."""
        pm = self._hooks.pm
        hook: pluggy.HookCaller = getattr(pm.hook, name)
        count = len(hook.get_hookimpls())
        if not count:
            return None
        known = self._known
        if known is None or known[0] is not pm or len(known[1]) >= _MOST_KNOWN:
            self._known = known = (pm, {})
        key = (name, collection.name)
        found = known[1].get(key)
        if found is None or found[0] != count:
            found = known[1][key] = (count, is_heard(hook, "collection", collection.name))
        return hook if found[1] else None

    def is_empty(self, names: Sequence[str]) -> bool:
        """Say whether nobody implements any of some hooks, which is quickly seen."""
        hooks = self._hooks.pm.hook
        return sum([len(getattr(hooks, name).get_hookimpls()) for name in names]) == 0

    def of(self, name: str, collection: Collection) -> Listeners | None:
        """Return those who want to be told of a record, or ``None``.

        :raises Conflict: as :func:`event_facts`.
        """
        hook = self.hook(name, collection)
        return None if hook is None else Listeners(hook, event_facts())


class Nobody(Audience):
    """No audience at all: for a write that no hook is called for."""

    def __init__(self) -> None:
        """Know of no host."""

    def hook(self, name: str, collection: Collection) -> None:
        """Return nothing."""

    def is_empty(self, names: Sequence[str]) -> bool:  # noqa: ARG002
        """Say so."""
        return True


@dataclass(frozen=True, slots=True)
class Listeners:
    """A hook somebody wants to be called, and the fields that its events have in common."""

    hook: pluggy.HookCaller
    facts: Mapping[str, Any]


def tell_created(audience: Audience, work: Unit, collection: Collection, record: RecordRow) -> None:
    """Tell that a record was created, after the commit."""
    listeners = audience.of("tinybase_on_record_create", collection)
    if listeners is not None:
        event = RecordCreateEvent(
            collection.name, record.id, record.data, record.owner_id, **listeners.facts
        )
        work.after_commit(partial(listeners.hook, event=event))
    _tell_changed(audience, work, collection, None, record)


def tell_updated(
    audience: Audience, work: Unit, collection: Collection, before: RecordRow, after: RecordRow
) -> None:
    """Tell that a record was changed, after the commit."""
    listeners = audience.of("tinybase_on_record_update", collection)
    if listeners is not None:
        event = RecordUpdateEvent(
            collection.name, after.id, before.data, after.data, after.owner_id, **listeners.facts
        )
        work.after_commit(partial(listeners.hook, event=event))
    _tell_changed(audience, work, collection, before, after)


def tell_deleted(
    audience: Audience, work: Unit, collection: Collection, records: Iterable[RecordRow]
) -> None:
    """Tell that records were deleted, one by one, after the commit.

    :param records: are not looked at when nobody listens.
    """
    names = ("tinybase_on_record_delete", "tinybase_on_record_change")
    if all(audience.hook(name, collection) is None for name in names):
        return
    for record in records:
        listeners = audience.of("tinybase_on_record_delete", collection)
        if listeners is not None:
            event = RecordDeleteEvent(
                collection.name, record.id, record.data, record.owner_id, **listeners.facts
            )
            work.after_commit(partial(listeners.hook, event=event))
        _tell_changed(audience, work, collection, record, None)


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
    audience: Audience,
    work: Unit,
    collection: Collection,
    before: RecordRow | None,
    after: RecordRow | None,
) -> None:
    listeners = audience.of("tinybase_on_record_change", collection)
    if listeners is not None:
        event = RecordChangeEvent(**change_of(collection, before, after), **listeners.facts)
        work.after_commit(partial(listeners.hook, event=event))
