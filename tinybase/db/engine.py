"""How the engines are set up."""

from __future__ import annotations

import sqlite3
from typing import Any

from sqlalchemy import Engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from tinybase.config import Config
from tinybase.errors import ConfigError


def engine_settings(config: Config) -> dict[str, Any]:
    """Return the settings that Flask-SQLAlchemy makes the engine from.

    :raises ConfigError: for an address that SQLAlchemy does not understand.
    """
    try:
        url = make_url(config.database.url)
    except ArgumentError as error:
        raise ConfigError(
            "database.url is not a database address. Write sqlite:///tinybase.db."
        ) from error
    if url.get_backend_name() != "sqlite":
        return {
            "SQLALCHEMY_DATABASE_URI": url,
            "SQLALCHEMY_ENGINE_OPTIONS": {"pool_pre_ping": True},
        }
    if url.database and url.database != ":memory:":
        url = url.set(database=str(config.instance / url.database))
    # sqlite3 then takes the write lock with the first write of a transaction. A deferred
    # transaction that reads first cannot get it any more once somebody else has written.
    options = {
        "connect_args": {"isolation_level": "IMMEDIATE", "check_same_thread": False},
        # Handlers and functions run in threads of their own, each with its own connection.
        "pool_size": config.server.threads,
        "max_overflow": 128,
    }
    return {"SQLALCHEMY_DATABASE_URI": url, "SQLALCHEMY_ENGINE_OPTIONS": options}


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
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()
