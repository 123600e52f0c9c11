"""What the services need of the host: somebody to tell about records."""

from __future__ import annotations

from typing import Protocol

import pluggy


class Hooks(Protocol):
    """The host, as far as this room knows it."""

    @property
    def pm(self) -> pluggy.PluginManager:
        """Return the plugin manager that is in force now."""
