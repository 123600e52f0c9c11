"""What is told of extensions that are wanted and do not run."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from tinybase.cli.output import note

if TYPE_CHECKING:
    from tinybase.packages.views import InstalledExtension

_FINE = ("enabled", "disabled")


def tell_idle(extensions: Iterable[InstalledExtension]) -> None:
    """Say of each that is switched on and does not run why, and what to do."""
    for item in extensions:
        if item.status not in _FINE:
            reason = (item.status_reason or item.status).rstrip(".")
            note(f"{item.name} {item.version} does not run: {reason}.")
