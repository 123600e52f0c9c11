"""Databases that nobody else uses meanwhile."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import StaticPool

from tinybase.config import Config
from tinybase.db import migrate
from tinybase.db.sqlite_backup import held
from tinybase.errors import Conflict

_OTHERS = text(
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() "
    "AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
)
_POLL_SECONDS = 0.1


@contextmanager
def alone(config: Config, *, what: str) -> Iterator[Connection]:
    """Open a database that is there and that nobody else has open.

    SQLite keeps others away for the block. PostgreSQL does not; a connection of a process
    that has just died is waited for.

    :param what: the beginning of the sentence that refuses.
    :raises Conflict: while somebody else uses it.
    """
    with migrate.opened(config) as engine:
        if engine.dialect.name == "postgresql":
            with engine.connect() as connection:
                _wait_for_others(connection, config.database.busy_timeout_seconds, what)
                yield connection
            return
        path = str(engine.url.database)
    with held(path, what) as raw:
        # Not the engine of before: the lock belongs to this one connection.
        only = create_engine("sqlite://", creator=lambda: raw, poolclass=StaticPool)
        with only.connect() as connection:
            yield connection


def _wait_for_others(connection: Connection, patience: float, what: str) -> None:
    deadline = time.monotonic() + patience
    while connection.scalar(_OTHERS):
        connection.rollback()
        if time.monotonic() > deadline:
            raise Conflict(
                f"{what} is in use, by a server perhaps; nothing was changed. Stop what uses it, "
                "and try again."
            )
        time.sleep(_POLL_SECONDS)
    connection.rollback()
