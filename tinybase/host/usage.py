"""Showing other processes which folders of packages this one imports from.

A process holds a shared lock on each of these folders. The kernel lets go of it when the
process ends, however it ends, so nothing is ever left behind by the dead. Who wants to
remove a folder takes the lock for itself alone first; ``packages/generations.py`` does.
"""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Collection
from pathlib import Path


class Usage:
    """The folders that one process uses."""

    def __init__(self) -> None:
        self._held: dict[Path, int] = {}

    def begin(self, folder: Path) -> bool:
        """Say that a folder is used from now on; ``False`` if it is gone or on its way out."""
        if folder in self._held:
            return True
        try:
            descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            return False
        if not _is_locked_here(descriptor, folder):
            os.close(descriptor)
            return False
        self._held[folder] = descriptor
        return True

    def end_unless(self, wanted: Collection[Path | None]) -> None:
        """Stop using every folder but these, and those that modules were imported from.

        A module may read files of its folder and import others from there as long as it
        lives.
        """
        for folder in [item for item in self._held if item not in wanted]:
            if not _is_imported_from(folder):
                os.close(self._held.pop(folder))

    def end(self) -> None:
        """Stop using all of them."""
        for descriptor in self._held.values():
            os.close(descriptor)
        self._held.clear()


def _is_locked_here(descriptor: int, folder: Path) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        # Between the two calls it may have been removed.
        return os.path.samestat(os.fstat(descriptor), folder.stat())
    except OSError:
        return False


def _is_imported_from(folder: Path) -> bool:
    prefix = f"{folder}{os.sep}"
    return any(
        str(getattr(module, "__file__", None) or "").startswith(prefix)
        for module in list(sys.modules.values())
    )
