"""Asking and telling the extensions about collections themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tinybase.collections.collection import Collection
from tinybase.collections.compiled import equal
from tinybase.db import Work
from tinybase.errors import Conflict, Fault, Invalid
from tinybase.host.sites import Hooks, ask, heard, tell
from tinybase_hookspecs import (
    BeforeCollectionCreateEvent,
    BeforeCollectionDeleteEvent,
    BeforeCollectionUpdateEvent,
    CollectionCreateEvent,
    CollectionDeleteEvent,
    CollectionUpdateEvent,
)

_MOST_ATTEMPTS = 3

T = TypeVar("T")


class ChangedByExtensions(Exception):
    """Extensions want a collection for which other indexes have to be made beforehand."""

    def __init__(self, wanted: Collection) -> None:
        super().__init__(wanted.name)
        self.wanted = wanted


def again_if_changed(planned: Collection, attempt: Callable[[Collection], T]) -> T:
    """Carry out a plan; when extensions change it inside, begin anew with what they want.

    :raises Conflict: when they want something else each time.
    """
    for _ in range(_MOST_ATTEMPTS):
        try:
            return attempt(planned)
        except ChangedByExtensions as changed:
            planned = changed.wanted
    raise Conflict(
        f"Extensions want another schema for '{planned.name}' each time they are asked; see "
        "tinybase extensions hooks for who they are."
    )


class Definitions:
    """The hooks about collections."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    def creating(self, work: Work, collection: Collection) -> dict[str, Any]:
        """Return what extensions change of a collection that is about to be made."""
        return self._asked(work, "create", BeforeCollectionCreateEvent, collection, ())

    def updating(self, work: Work, before: Collection, after: Collection) -> dict[str, Any]:
        """Return what extensions change of the new state of a collection."""
        old = (_data(before),)
        return self._asked(work, "update", BeforeCollectionUpdateEvent, after, old)

    def deleting(self, work: Work, collection: Collection) -> None:
        """Ask whether a collection may be deleted."""
        if heard(self._hooks, "tinybase_before_collection_delete") is not None:
            about = (collection.name, _data(collection))
            with work.shared():
                hook = "tinybase_before_collection_delete"
                ask(self._hooks, hook, BeforeCollectionDeleteEvent, *about)

    def created(self, work: Work, made: Collection) -> None:
        """Tell, after the commit, that there is a new collection."""
        about = (made.name, made.schema, made.options)
        hook = "tinybase_on_collection_create"
        tell(self._hooks, work.after_commit, hook, CollectionCreateEvent, *about)

    def updated(self, work: Work, before: Collection, after: Collection) -> None:
        """Tell, after the commit, that a collection is another one."""
        about = (after.name, before.schema, after.schema, before.options, after.options)
        hook = "tinybase_on_collection_update"
        tell(self._hooks, work.after_commit, hook, CollectionUpdateEvent, *about)

    def deleted(self, work: Work, gone: Collection) -> None:
        """Tell, after the commit, that a collection is gone."""
        about = (gone.name, gone.schema, gone.options)
        hook = "tinybase_on_collection_delete"
        tell(self._hooks, work.after_commit, hook, CollectionDeleteEvent, *about)

    def _asked(
        self,
        work: Work,
        verb: str,
        make: Callable[..., Any],
        wanted: Collection,
        old: tuple[Any, ...],
    ) -> dict[str, Any]:
        hook = f"tinybase_before_collection_{verb}"
        if heard(self._hooks, hook) is None:
            return {}
        given = _data(wanted)
        with work.shared():
            event = ask(self._hooks, hook, make, wanted.name, *old, _data(wanted))
        if event is None:
            return {}
        _check_names(event.data)
        return {
            name: value
            for name, value in event.data.items()
            if value is not None and not equal(value, given[name])
        }


def _data(collection: Collection) -> dict[str, Any]:
    return {"schema": dict(collection.schema), "options": dict(collection.options)}


def _check_names(data: Mapping[str, Any]) -> None:
    faults = [
        Fault(("body", name), "Not a part of a collection; an extension added it.", "unknown_field")
        for name in sorted(data.keys() - {"schema", "options"})
    ]
    if faults:
        raise Invalid(faults, code="invalid_schema")
