"""A snapshot: everything that the extensions give a worker, built aside and never edited."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Protocol

import pluggy

from tinybase.host import kinds
from tinybase.host.contributions import Contributions
from tinybase.host.discovery import Candidate
from tinybase.host.ordering import Arrangement
from tinybase.host.plugin import ExtensionPlugin
from tinybase.host.settings import SettingFacts
from tinybase_hookspecs import FunctionDeclaration

PROJECT = kinds.PROJECT


class FunctionRegistry(Protocol):
    """The table of functions, as far as the host needs to know it."""

    def add(self, owner: str, declaration: FunctionDeclaration) -> None:
        """Take in one function; refuse a bad one, or a name that is taken, with an error."""

    def discard(self, owner: str) -> None:
        """Forget the functions of an owner whose loading failed after all."""

    def names(self, owner: str) -> list[str]:
        """Return the names of an owner's functions."""


@dataclass(frozen=True)
class ExtensionState:
    """One extension, as lists show it.

    ``status`` is ``enabled``, ``disabled``, ``failed``, ``incompatible``, ``missing``,
    ``needs_config`` or ``quarantined``; ``reason`` says why, always where it is not ``enabled``.
    One that is has a reason when processes died in it lately or its ``on_startup`` failed.
    ``settings`` and ``collections`` are those that it declares.
    """

    name: str
    version: str
    status: str
    reason: str | None
    managed: bool
    package: str = ""
    description: str = ""
    author: str = ""
    license: str = ""
    hooks: tuple[str, ...] = ()
    functions: tuple[str, ...] = ()
    settings: tuple[SettingFacts, ...] = ()
    collections: tuple[str, ...] = ()
    routes: tuple[str, ...] = ()

    @property
    def is_enabled(self) -> bool:
        """Say whether it is wanted; a failed extension is wanted and does not run."""
        return self.status not in ("disabled", "quarantined")

    @property
    def is_ill(self) -> bool:
        """Say whether it was to run and does not, or not as it should."""
        if self.status == "enabled":
            return self.reason is not None
        return self.status in ("failed", "needs_config", "quarantined")


@dataclass(frozen=True)
class Loaded:
    """An extension that is part of a snapshot."""

    name: str
    plugin: ExtensionPlugin
    candidate: Candidate | None = None


@dataclass
class Snapshot:
    """One complete set; requests in flight keep the one they began with.

    ``loaded`` is in start-up order, which like that of all calls is part of the
    ``arrangement``; ``states`` covers every known extension, loaded or
    not, and ``project_failures`` maps modules of the operator's own code to what is wrong
    with them. ``settings`` are what owners declare.
    """

    pm: pluggy.PluginManager
    functions: FunctionRegistry
    contributions: Contributions
    loaded: dict[str, Loaded] = field(default_factory=dict)
    arrangement: Arrangement = field(default_factory=Arrangement)
    states: dict[str, ExtensionState] = field(default_factory=dict)
    project_failures: dict[str, str] = field(default_factory=dict)
    settings: dict[str, tuple[SettingFacts, ...]] = field(default_factory=dict)
    _users: int = 0
    _is_awaited: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._free = threading.Condition(self._lock)

    def drop(self, owner: str) -> None:
        """Take out what an owner gave, because it cannot run after all; its settings stay known."""
        loaded = self.loaded.pop(owner)
        self.functions.discard(loaded.plugin.name if loaded.candidate else owner)
        self.contributions.discard(owner)

    def runs(self, extension: str) -> bool:
        """Say whether an extension is part of it; the operator's own code is if all of it is."""
        if extension == PROJECT:
            is_there = any(owner.startswith(f"{PROJECT}:") for owner in self.loaded)
            return is_there and not self.project_failures
        return extension in self.loaded

    def enter(self) -> None:
        """Count somebody who works with the snapshot."""
        with self._lock:
            self._users += 1

    def leave(self) -> None:
        """Count somebody out."""
        with self._lock:
            self._users -= 1
            if self._is_awaited and not self._users:
                self._free.notify_all()

    def wait_until_unused(self, seconds: float) -> bool:
        """Wait for the last user, at most so long; say whether it has left."""
        with self._lock:
            self._is_awaited = True
            return self._free.wait_for(lambda: self._users == 0, seconds)
