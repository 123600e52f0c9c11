"""The database alone, for commands that must work where the application cannot load."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from tinybase.config import Config
from tinybase.db import migrate
from tinybase.db.faults import busy, is_held_by_others
from tinybase.errors import Unavailable


@contextmanager
def opened(config: Config) -> Iterator[Engine]:
    """Open the database of an instance; nothing stays open.

    :raises Unavailable: when it cannot be used.
    """
    with faults_explained(), migrate.opened(config) as engine:
        yield engine


@contextmanager
def faults_explained() -> Iterator[None]:
    """Turn what a database driver raises into one line with a remedy."""
    try:
        yield
    except DBAPIError as error:
        if is_held_by_others(error):
            raise busy() from error
        raise Unavailable(
            f"The database cannot be used: {str(error.orig).rstrip('.?')}. "
            "Check database.url and the rights on it."
        ) from error
    except ModuleNotFoundError as error:
        raise Unavailable(
            "PostgreSQL needs its driver. Run pip install 'tinybase[postgres]'."
        ) from error
