"""Backups of SQLite, through its own interface for them."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

from tinybase.errors import Conflict, Unavailable
from tinybase.files import complete, private_file

_PAGES = 4_096
_BUSY_SECONDS = 2.0


class SqliteBackups:
    """Makes backups of one SQLite file and restores them."""

    suffix = ".db"

    def __init__(self, database: Path) -> None:
        self._database = database

    def make(self, target: Path, say: Callable[[str], None]) -> Mapping[str, int]:
        """Copy the database as it is at one moment, while others write."""
        if not self._database.is_file():
            raise Unavailable(f"There is no database at {self._database}. Run tinybase init.")
        return _copy(self._database, target, say)

    def read(self, file: Path, private: Path) -> Mapping[str, int]:
        """Copy a backup and verify the copy."""
        if not file.is_file():
            raise Conflict(f"There is no file {file}. Name a backup.")
        return _copy(file, private, lambda _: None)

    def revision(self, private: Path) -> str:
        """Return the version of the database in a copy."""
        with _explained(private), closing(_connect(private)) as connection:
            try:
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            except sqlite3.OperationalError as error:
                raise Conflict("The file is an SQLite database, but none of TinyBase.") from error
            return str(row[0]) if row else ""

    def put(self, private: Path, aside: Path, say: Callable[[str], None]) -> bool:
        """Write a copy into the database, in one transaction of SQLite's."""
        if not self._database.exists():
            complete(private, self._database)
            return False
        if not _is_sound(self._database):
            say("The database is damaged and is only set aside")
            self._set_aside(private, aside)
            return True
        with closing(_connect(self._database)) as live:
            _be_alone(live)
            say("Keeping what is there")
            with private_file(aside) as new:
                _copy(self._database, new, say, source=live)
                complete(new, aside)
            say("Restoring")
            # One step is one transaction: an interruption leaves all of it or nothing.
            with closing(_connect(private)) as copy:
                copy.backup(live, pages=-1)
            live.execute("PRAGMA journal_mode = WAL")
        return True

    def _set_aside(self, private: Path, aside: Path) -> None:
        for suffix in ("-wal", "-shm"):
            beside = self._database.with_name(self._database.name + suffix)
            if beside.exists():
                # It belongs to the old file and must not be applied to the new one.
                beside.rename(aside.with_name(aside.name + suffix))
        # Linked and then replaced, there is a database at every moment.
        os.link(self._database, aside)
        complete(private, self._database)


@contextmanager
def held(path: str | Path, what: str) -> Iterator[sqlite3.Connection]:
    """Open a database that nobody else has open, and keep others away for the block.

    :param what: the beginning of the sentence that refuses.
    :raises Conflict: while somebody else uses it.
    """
    with closing(_connect(Path(path))) as connection:
        with _explained(Path(path)):
            _be_alone(connection, what)
        try:
            yield connection
        finally:
            connection.execute("PRAGMA journal_mode = WAL")


def _copy(
    database: Path,
    target: Path,
    say: Callable[[str], None],
    *,
    source: sqlite3.Connection | None = None,
) -> Mapping[str, int]:
    """Copy a database as it is at one moment, and verify the copy."""

    def tell(_: int, remaining: int, total: int) -> None:
        say(f"Copying, {100 - remaining * 100 // max(total, 1)} %")

    with _explained(database), closing(_connect(target)) as copy:
        opened = source or _connect(database)
        try:
            opened.execute("BEGIN")
            rows = _count(opened)
            # The transaction that reads keeps the moment, however long the copy takes.
            opened.backup(copy, pages=_PAGES, progress=tell)
            opened.execute("COMMIT")
        finally:
            if source is None:
                opened.close()
        # A single file is easier to keep than one with a log beside it.
        copy.execute("PRAGMA journal_mode = DELETE")
        say("Verifying the copy")
        _verify(copy, rows)
    return rows


def _verify(connection: sqlite3.Connection, rows: Mapping[str, int]) -> None:
    (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    if found != "ok":
        raise Conflict(f"The database is damaged: {found}. Restore a backup.")
    if connection.execute("PRAGMA foreign_key_check").fetchone():
        raise Conflict("The database is damaged: a row refers to one that is not there.")
    if _count(connection) != rows:
        raise Conflict("The copy has not the rows of the database. Try again.")


def _count(connection: sqlite3.Connection) -> Mapping[str, int]:
    query = "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    names = sorted(name for (name,) in connection.execute(query))
    return {name: _count_rows(connection, name) for name in names}


def _count_rows(connection: sqlite3.Connection, table: str) -> int:
    quoted = table.replace('"', '""')
    count: int = connection.execute(f'SELECT count(*) FROM "{quoted}"').fetchone()[0]  # noqa: S608
    return count


def _is_sound(database: Path) -> bool:
    try:
        with closing(_connect(database)) as connection:
            (found,) = connection.execute("PRAGMA integrity_check(1)").fetchone()
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise _in_use() from error
        return False
    return bool(found == "ok")


def _be_alone(connection: sqlite3.Connection, what: str = "The database") -> None:
    """Make sure that nobody else has the database open, and keep it so."""
    try:
        # Leaving the mode with a log is granted to the only one that has the file open.
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("BEGIN EXCLUSIVE")
        connection.execute("COMMIT")
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            raise _in_use(what) from error
        raise


def _in_use(what: str = "The database") -> Conflict:
    return Conflict(
        f"{what} is in use, by a server perhaps; nothing was changed. Stop what uses it, "
        "and try again."
    )


def _connect(path: Path) -> sqlite3.Connection:
    """Open a file that is there."""
    address = f"file:{quote(str(path.resolve()))}?mode=rw"
    return sqlite3.connect(address, uri=True, timeout=_BUSY_SECONDS, isolation_level=None)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """Turn what SQLite says of a file into one line with a remedy."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise Unavailable(f"{path} cannot be copied: {error}. Check rights and space.") from error
    except sqlite3.DatabaseError as error:
        raise Conflict(f"{path} cannot be used: {error}. Name another backup.") from error
