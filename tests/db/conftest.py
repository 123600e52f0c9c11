"""Databases for the tests of the database."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from tinybase import config
from tinybase.db import migrate


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """Return an engine on an SQLite file that does not exist yet."""
    with migrate.opened(config.load(tmp_path, {})) as opened:
        yield opened
