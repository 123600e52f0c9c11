"""What TinyBase keeps for an extension, and keeps when its code is gone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from tinybase.host import Host


class Owned(Protocol):
    """A collection that belongs to an extension."""

    @property
    def name(self) -> str:
        """Its name."""

    @property
    def records(self) -> int:
        """How many records are in it."""


class OwnedCollections(Protocol):
    """The service for them, which is of another room of the same floor."""

    def of(self, extension: str) -> Sequence[Owned]:
        """Return the collections of an extension."""

    def drop(self, extension: str) -> Sequence[Owned]:
        """Delete them with all their records."""


@dataclass(frozen=True, slots=True)
class Belongings:
    """The data of one extension: its collections, and the names of the settings that are set."""

    collections: Sequence[Owned] = ()
    settings: Sequence[str] = ()

    def __bool__(self) -> bool:
        return bool(self.collections or self.settings)

    def __str__(self) -> str:
        parts = [f"the collection {item.name} ({item.records:,})" for item in self.collections]
        parts += [f"the setting {name}" for name in self.settings]
        return ", ".join(parts) or "nothing"


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
