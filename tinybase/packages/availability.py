"""What is known of newer releases: kept in a file, so that whoever tells it asks nobody."""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tinybase.files import write_durably

_FILE_NAME = "updates.json"
_ASKED = "updates.asked"
_ASK_AGAIN_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Availability:
    """Whether there is something newer: ``status`` is newest, available or unknown.

    ``latest`` is the release, or the commit where there are none; ``note`` says why
    something is not known, or why an update does not take it.
    """

    name: str
    version: str
    status: str
    latest: str | None = None
    note: str | None = None


class KnownUpdates:
    """The last answers to the question what is newer, of all processes of an instance.

    :param folder: where the files are. Where nothing can be written nothing is known.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self) -> dict[tuple[str, str], str]:
        """Return what is newer than a version of an extension, by name and version."""
        try:
            rows = json.loads((self._folder / _FILE_NAME).read_text("utf-8"))
            return {(str(name), str(version)): str(latest) for name, version, latest in rows}
        except (OSError, ValueError, TypeError):
            return {}

    def keep(self, found: Iterable[Availability]) -> None:
        """Keep new answers; what is unknown now is as it was known before."""
        known = self.read()
        new = []
        for item in found:
            before = known.get((item.name, item.version))
            latest = before if item.status == "unknown" else item.latest
            if item.status != "newest" and latest:
                new.append((item.name, item.version, latest))
        with suppress(OSError):
            write_durably(self._folder / _FILE_NAME, json.dumps(new, indent=2) + "\n")

    def is_time_to_ask(self) -> bool:
        """Say whether nobody has asked for an hour; whoever is told so has to ask."""
        try:
            with (self._folder / _ASKED).open("a+b") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                status = os.fstat(file.fileno())
                is_new = not status.st_size
                if not is_new and 0 <= time.time() - status.st_mtime < _ASK_AGAIN_SECONDS:
                    return False
                file.truncate(0)
                file.write(b"asked\n")
        except OSError:
            return False
        return True
