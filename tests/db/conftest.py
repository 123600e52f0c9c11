"""Databases for the tests of the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import URL, Postgres
from sqlalchemy import Engine

from tinybase import config
from tinybase.config import Config
from tinybase.db import migrate


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Return an engine on an SQLite file that does not exist yet."""
    with migrate.opened(config.load(tmp_path, {})) as opened:
        yield opened


@pytest.fixture
def postgres_config(postgres: Postgres, tmp_path: Path) -> Config:
    """Return the configuration of an instance on PostgreSQL, without any table."""
    settings = config.load(tmp_path, {URL: postgres.url("postgres")})
    with migrate.opened(settings) as engine, engine.begin() as connection:
        connection.exec_driver_sql("DROP SCHEMA public CASCADE")
        connection.exec_driver_sql("CREATE SCHEMA public")
    return settings
