"""What each set of extensions came from, written into its folder."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from tinybase.db import format_time
from tinybase.files import write_durably
from tinybase.packages.changes import Change

_FILE_NAME = "generation.json"


@dataclass(frozen=True, slots=True)
class Entry:
    """How a set came about: by which command, when, from which set, and what that changed."""

    purpose: str
    created_at: str
    base: int | None
    changes: tuple[Change, ...]

    @classmethod
    def read(cls, generation: Path) -> Self:
        """Read the entry of a set; one that is missing or damaged only knows the time."""
        try:
            document = json.loads((generation / _FILE_NAME).read_text("utf-8"))
            changes = tuple(
                Change(**{**item, "commits": tuple(item["commits"])})
                for item in document.pop("changes")
            )
            return cls(**document, changes=changes)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            changed = datetime.fromtimestamp(generation.stat().st_mtime, UTC)
            return cls("", format_time(changed), None, ())

    def write(self, generation: Path) -> None:
        """Write the entry into the folder of its set."""
        write_durably(generation / _FILE_NAME, json.dumps(asdict(self), indent=2) + "\n")
