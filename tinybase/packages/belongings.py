"""What TinyBase keeps for an extension, and keeps when its code is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tinybase.errors import Conflict, NotFound
from tinybase.host import Host
from tinybase.host.preparing import COLLECTIONS
from tinybase.host.snapshot import PROJECT


class Owned(Protocol):
    """A collection that belongs to an extension."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def records(self) -> int:
        """How many records are in it."""

    @property
    def is_guarded(self) -> bool:
        """Say whether only admins reach them while the extension does not run."""


class OwnedCollections(Protocol):
    """The service for them, which is of another room of the same floor."""

    def of(self, extension: str) -> Sequence[Owned]:
        """Return the collections of an extension."""

    def drop(self, extension: str) -> Sequence[Owned]:
        """Delete them with all their records."""

    def owner_of(self, name: str) -> str | None:
        """Return the extension to which a collection belongs."""

    def disown(self, name: str) -> None:
        """Let a collection belong to no extension any more."""


@dataclass(frozen=True, slots=True)
class Belongings:
    """The data of one extension: its collections, and the names of the settings that are set."""

    collections: Sequence[Owned] = ()
    settings: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.collections or self.settings)

    def __str__(self) -> str:
        parts = [_told(item) for item in self.collections]
        parts += [f"the setting {name}" for name in self.settings]
        return ", ".join(parts) or "nothing"


def _told(item: Owned) -> str:
    return f"the collection {item.name} ({item.records:,}{', guarded' if item.is_guarded else ''})"


class Data:
    """Looks at the data of extensions and drops it."""

    def __init__(self, host: Host, collections: OwnedCollections) -> None:
        self._host = host
        self._collections = collections

    def of(self, extension: str) -> Belongings:
        """Return what is kept for an extension."""
        stored = self._host.stored_settings.read().get(extension, {})
        return Belongings(self._collections.of(extension), sorted(stored))

    def drop(self, extension: str) -> None:
        """Delete all of it."""
        self._collections.drop(extension)
        names = self._host.stored_settings.read().get(extension, {})
        if names:
            self._host.stored_settings.change(extension, dict.fromkeys(names))

    def disown(self, collection: str) -> str:
        """Let a collection belong to the project from now on; return whose it was.

        Its records stay, and whoever its rules admit reaches them.

        :raises NotFound: when there is none of this name.
        :raises Conflict: while its extension is switched on, or when it has none.
        """
        owner = self._collections.owner_of(collection)
        if owner is None:
            raise Conflict(f"The collection {collection} belongs to no extension already.")
        if self._is_wanted(owner, collection):
            off = (
                f"Take its declaration out of the project's code first: {PROJECT} makes it"
                if owner == PROJECT
                else f"Run tinybase extensions disable {owner} first: it needs the collection"
            )
            raise Conflict(f"The collection {collection} is in use. {off}.")
        self._collections.disown(collection)
        return owner

    def _is_wanted(self, owner: str, collection: str) -> bool:
        if owner == PROJECT:
            declared = self._host.contributions.of(COLLECTIONS)
            return any(
                who.startswith(f"{PROJECT}:") and item.name == collection for who, item in declared
            )
        try:
            state = self._host.extension(owner)
        except NotFound:
            return False
        return state.is_enabled and state.status != "missing"
