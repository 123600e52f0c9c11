"""Backups of a database: made while it is in use, and verified before anybody relies on them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import make_url

from tinybase.config import Config
from tinybase.db.migrate import REVISIONS
from tinybase.db.postgres_backup import PostgresBackups
from tinybase.db.sqlite_backup import SqliteBackups
from tinybase.errors import Conflict
from tinybase.files import complete, private_file

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Contents:
    """What is in a backup: the version of the database, and how many rows each table has."""

    revision: str
    rows: Mapping[str, int]


class Backups(Protocol):
    """Makes backups of one database and restores them."""

    suffix: str

    def make(self, target: Path, say: Say) -> Mapping[str, int]:
        """Write a verified copy to a file; return how many rows each table has in it."""

    def read(self, file: Path, private: Path) -> Mapping[str, int]:
        """Verify a backup and copy it; return how many rows each table has in it."""

    def revision(self, private: Path) -> str:
        """Return the version of the database in a copy."""

    def put(self, private: Path, aside: Path, say: Say) -> bool:
        """Replace the database by a copy, all or nothing; say whether there was one before.

        What was there is kept at ``aside``.

        :raises Conflict: while somebody else uses the database.
        """


def backups_of(config: Config) -> Backups:
    """Return what backs up the database of an instance."""
    url = make_url(config.database.url)
    if url.get_backend_name() == "postgresql":
        return PostgresBackups(url)
    return SqliteBackups(config.instance / (url.database or ""))


def back_up(backups: Backups, target: Path, say: Say) -> Mapping[str, int]:
    """Write a backup to a file that does not exist yet.

    It has its name only when it is complete, verified and on the disk.

    :raises Conflict: when there is such a file, or what was copied is damaged.
    """
    if target.exists():
        raise Conflict(f"{target} exists already; name another file.")
    with private_file(target) as new:
        rows = backups.make(new, say)
        complete(new, target)
    return rows


def restore(backups: Backups, file: Path, aside: Path, say: Say) -> tuple[Contents, bool]:
    """Make the database what a backup says; return that, and whether there was one before.

    :raises Conflict: for a file that is no good backup, and while the database is in use.
        Nothing was changed then.
    """
    # Another name than that of what put() keeps there.
    with private_file(aside.with_suffix(".restoring")) as private:
        say("Verifying the backup")
        rows = backups.read(file, private)
        revision = backups.revision(private)
        if revision not in REVISIONS:
            raise Conflict(
                f"{file} was made by a newer TinyBase (revision {revision}). Update TinyBase."
            )
        return Contents(revision, rows), backups.put(private, aside, say)
