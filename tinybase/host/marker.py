"""Finding out which extension killed the process while it was loaded.

While an extension is imported, a file with its name exists and is locked by the process.
A file that nobody locks any more is the mark of a process that died there.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class LoadingMarker:
    """The markers of one instance."""

    def __init__(self, instance: Path) -> None:
        self._folder = instance / "extensions" / "loading"

    @contextmanager
    def around(self, name: str) -> Iterator[None]:
        """Mark an extension while the block loads it.

        Without a folder to write into there is no marker; the instance may be read-only.
        """
        path = self._folder / f"{os.getpid()}-{name}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            file = path.open("w", encoding="utf-8")
        except OSError:
            yield
            return
        with file:
            fcntl.flock(file, fcntl.LOCK_EX)
            try:
                yield
            finally:
                path.unlink(missing_ok=True)

    def collect_dead(self) -> list[str]:
        """Return the extensions during whose loading a process died, and forget them."""
        return [
            path.name.partition("-")[2] for path in sorted(self._paths()) if _is_abandoned(path)
        ]

    def _paths(self) -> list[Path]:
        return list(self._folder.iterdir()) if self._folder.is_dir() else []


def _is_abandoned(path: Path) -> bool:
    """Remove a marker if no living process holds it; say whether that was so."""
    try:
        with path.open("r+", encoding="utf-8") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            path.unlink()
    except OSError:
        return False
    return True
