"""How the engines are set up."""

from __future__ import annotations

import json
import sqlite3
from typing import Any

from sqlalchemy import URL, Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from tinybase.config import Config
from tinybase.db.lending import LendableConnection
from tinybase.errors import ConfigError

_POSTGRESQL = "postgresql+psycopg"
_CACHE_KIB = 16 * 1024
"""How much each connection of SQLite keeps in memory at most, of what it has read.

Its own 2 MiB are less than one index of 100,000 records, and a list that counts goes through one.
"""

_as_json = json.JSONEncoder(separators=(",", ":")).encode
"""Writes JSON without blanks, as what is past SQLAlchemy does."""

_MOST_PAGES_IN_THE_WAL = 4000  # 16 MiB
_WRONG_ADDRESS = (
    "database.url is not the address of a database that TinyBase knows. Write "
    "sqlite:///tinybase.db or postgresql+psycopg://user:password@host/database."
)


def engine_settings(config: Config) -> dict[str, Any]:
    """Return the settings that Flask-SQLAlchemy makes the engine from.

    :raises ConfigError: for an address of a database that is not supported.
    """
    url = _address(config)
    make = _sqlite_options if url.get_backend_name() == "sqlite" else _postgresql_options
    if url.get_backend_name() == "sqlite" and url.database and url.database != ":memory:":
        url = url.set(database=str(config.instance / url.database))
    options = {
        # Handlers and functions run in threads of their own, each with its own connection.
        "pool_size": config.server.threads,
        "json_serializer": _as_json,
        **make(url, config),
    }
    return {"SQLALCHEMY_DATABASE_URI": url, "SQLALCHEMY_ENGINE_OPTIONS": options}


def _address(config: Config) -> URL:
    try:
        url = make_url(config.database.url)
    except ArgumentError as error:
        raise ConfigError(_WRONG_ADDRESS) from error
    if url.drivername in ("postgres", "postgresql"):
        # What every other program calls it; SQLAlchemy would take a driver of its own choice.
        url = url.set(drivername=_POSTGRESQL)
    if url.drivername not in ("sqlite", "sqlite+pysqlite", _POSTGRESQL):
        raise ConfigError(_WRONG_ADDRESS)
    return url


def _sqlite_options(_: URL, __: Config) -> dict[str, Any]:
    # sqlite3 then takes the write lock with the first write of a transaction. A deferred
    # transaction that reads first cannot get it any more once somebody else has written.
    connect = {
        "isolation_level": "IMMEDIATE",
        "check_same_thread": False,
        "factory": LendableConnection,
    }
    return {"connect_args": connect, "max_overflow": 128}


def _postgresql_options(url: URL, config: Config) -> dict[str, Any]:
    """Return what keeps a server that is gone, or a lock, from holding a request for ever.

    What the address says itself stays as it is. For poolers that let no prepared statements
    through there is ``prepare_threshold=none``.
    """
    waits = config.database.busy_timeout_seconds
    session = [f"-c lock_timeout={waits}s"]
    if config.database.durability == "normal":
        session.append("-c synchronous_commit=off")
    connect = {
        "application_name": "tinybase",
        "client_encoding": "utf8",
        "connect_timeout": waits,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": waits * 1000,
        "options": " ".join(session),
    }
    given = {key: value for key, value in connect.items() if key not in url.query}
    if "prepare_threshold" in url.query:
        # The one option that libpq does not read from texts.
        given["prepare_threshold"] = _number_or_none(url.query["prepare_threshold"])
    return {
        "connect_args": given,
        # A server takes 100 connections as it comes, and each is a process there.
        "max_overflow": 16,
        "pool_timeout": waits,
        # After a restart of the server no request finds a connection that is dead.
        "pool_pre_ping": True,
    }


def _number_or_none(text: str | tuple[str, ...]) -> int | None:
    if text == "none":
        return None
    if not str(text).isdigit():
        raise ConfigError("prepare_threshold in database.url is none or a number.")
    return int(str(text))


def prepare(engine: Engine, config: Config) -> None:
    """Make every connection of an SQLite engine safe and durable; others need nothing."""
    if engine.dialect.name != "sqlite":
        return
    synchronous = "FULL" if config.database.durability == "full" else "NORMAL"

    @event.listens_for(engine, "connect")
    def connect(connection: sqlite3.Connection, _: object) -> None:
        cursor = connection.cursor()
        # The timeout comes first: switching to WAL itself may have to wait.
        cursor.execute(f"PRAGMA busy_timeout = {config.database.busy_timeout_seconds * 1000}")
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {synchronous}")
        # Whoever commits then writes all of it into the database, and keeps the others waiting.
        cursor.execute(f"PRAGMA wal_autocheckpoint = {_MOST_PAGES_IN_THE_WAL}")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        cursor.close()
