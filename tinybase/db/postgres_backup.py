"""Backups of PostgreSQL, through the tools of its client."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL, Connection, create_engine, text
from sqlalchemy.pool import NullPool

from tinybase.errors import Conflict, Unavailable
from tinybase.files import complete, private_file

_COPY = re.compile(rb'COPY public\."?(\w+)"? \(.*\) FROM stdin;\n')
_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)
_TABLES = text("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename")


class PostgresBackups:
    """Makes backups of one PostgreSQL database and restores them."""

    suffix = ".dump"

    def __init__(self, url: URL) -> None:
        self._url = url

    def make(self, target: Path, say: Callable[[str], None]) -> Mapping[str, int]:
        """Dump the database as it is at one moment, while others write."""
        say("Copying")
        with self._connected() as connection:
            snapshot = connection.scalar(text("SELECT pg_export_snapshot()"))
            names = connection.scalars(_TABLES).all()
            rows = {
                name: connection.scalar(text(f'SELECT count(*) FROM public."{name}"')) or 0  # noqa: S608
                for name in names
            }
            self._run(
                *("pg_dump", "--format=custom", "--no-owner", "--no-privileges", "--schema=public"),
                *(f"--snapshot={snapshot}", f"--file={target}", self._address),
            )
        say("Verifying the copy")
        if _rows_of(target) != rows:
            raise Conflict("The copy has not the rows of the database. Try again.")
        return rows

    def read(self, file: Path, private: Path) -> Mapping[str, int]:
        """Copy a backup and read all of the copy."""
        if not file.is_file():
            raise Conflict(f"There is no file {file}. Name a backup.")
        shutil.copyfile(file, private)
        return _rows_of(private)

    def revision(self, private: Path) -> str:
        """Return the version of the database in a copy."""
        rows = _lines_of(private)
        lines = [line for table, line in rows if line and table == "alembic_version"]
        if not lines:
            raise Conflict("The file is a dump of PostgreSQL, but not of a TinyBase.")
        return lines[0].decode().strip()

    def put(self, private: Path, aside: Path, say: Callable[[str], None]) -> bool:
        """Load a dump into the database, in one transaction."""
        with self._connected() as connection:
            if connection.scalar(_OTHERS):
                raise Conflict(
                    "The database is in use, by a server perhaps; nothing was changed. Stop what "
                    "uses it, and try again."
                )
            is_empty = not connection.scalars(_TABLES).all()
        if not is_empty:
            say("Keeping what is there")
            with private_file(aside) as new:
                self.make(new, say)
                complete(new, aside)
        say("Restoring")
        self._run(
            *("pg_restore", "--single-transaction", "--exit-on-error", "--clean", "--if-exists"),
            *("--no-owner", "--no-privileges", f"--dbname={self._address}", str(private)),
        )
        return not is_empty

    @property
    def _address(self) -> str:
        url = self._url.set(drivername="postgresql", password=None)
        return url.render_as_string(hide_password=False)

    def _run(self, *command: str) -> None:
        # An argument could be read by everybody on the machine.
        secret = {"PGPASSWORD": self._url.password} if self._url.password else {}
        ended = subprocess.run(
            _found(command),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env={**os.environ, **secret},
            check=False,
        )
        if ended.returncode:
            reason = _last(ended.stderr)
            raise Conflict(f"{command[0]} failed, and nothing was changed: {reason}.")

    @contextmanager
    def _connected(self) -> Iterator[Connection]:
        engine = create_engine(self._url, poolclass=NullPool, isolation_level="REPEATABLE READ")
        with engine.connect() as connection:
            yield connection


def _rows_of(dump: Path) -> Mapping[str, int]:
    rows: dict[str, int] = {}
    for table, line in _lines_of(dump):
        rows[table] = rows.get(table, 0) + bool(line)
    return dict(sorted(rows.items()))


def _lines_of(dump: Path) -> Iterator[tuple[str, bytes]]:
    """Yield every row of a dump with its table, and an empty line where a table begins."""
    command = _found(("pg_restore", "--data-only", "--file=-", str(dump)))
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None  # noqa: S101 (it was asked for)
        assert process.stderr is not None  # noqa: S101
        table = ""
        for line in process.stdout:
            match = None if table else _COPY.fullmatch(line)
            if match:
                table = match[1].decode()
                yield table, b""
            elif line == b"\\.\n":
                table = ""
            elif table:
                yield table, line
        complaint = process.stderr.read()
    if process.returncode:
        raise Conflict(
            f"The file is no good dump of PostgreSQL: {_last(complaint)}. Name another one."
        )


def _found(command: tuple[str, ...]) -> list[str]:
    path = shutil.which(command[0])
    if path is None:
        raise Unavailable(
            f"{command[0]} is not installed. Install the client of PostgreSQL, of the version of "
            "the server or newer; with Debian: apt install postgresql-client."
        )
    return [path, *command[1:]]


def _last(output: bytes) -> str:
    lines = output.decode(errors="replace").strip().splitlines()
    return lines[-1].rstrip(".") if lines else "it gave no reason"
