"""What this room needs of the host."""

from __future__ import annotations

from typing import Protocol

from pluggy import PluginManager


class Hooks(Protocol):
    """Whoever has the plugin manager that is in force at the moment."""

    @property
    def pm(self) -> PluginManager:
        """Return it."""
