"""Opening the application for one command; the only heavy import of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from tinybase.actors import Actor
from tinybase.api.services import Services
from tinybase.app import create_app
from tinybase.config import Config
from tinybase.db import migrate
from tinybase.errors import Unavailable
from tinybase.host import caused_by


@contextmanager
def opened(config: Config, *, actor: Actor, load: bool) -> Iterator[Services]:
    """Make the application, check its database and hand out its services.

    :raises Unavailable: when the database cannot be reached or is not at this version.
    """
    with database_faults_explained():
        app = create_app(config)
        services: Services = app.extensions["tinybase"]
        try:
            with app.app_context(), caused_by(actor=actor, origin="cli"):
                migrate.check(services.database.engine)
                if load:
                    services.host.load()
                yield services
        finally:
            if load:
                services.host.stop()
            services.database.engine.dispose()


@contextmanager
def database_opened(config: Config) -> Iterator[Engine]:
    """Open the database alone, for commands that must work where the application cannot.

    :raises Unavailable: when it cannot be reached.
    """
    with database_faults_explained(), migrate.opened(config) as engine:
        yield engine


@contextmanager
def database_faults_explained() -> Iterator[None]:
    """Turn what a database driver raises into one line with a remedy."""
    try:
        yield
    except DBAPIError as error:
        raise Unavailable(
            f"The database cannot be used: {error.orig}. Check database.url."
        ) from error
    except ModuleNotFoundError as error:
        if error.name != "psycopg":
            raise
        raise Unavailable(
            "PostgreSQL needs its driver. Run pip install 'tinybase[postgres]'."
        ) from error
