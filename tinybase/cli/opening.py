"""The application for one command; the heaviest import of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tinybase.actors import Actor
from tinybase.api.services import Services
from tinybase.app import create_app
from tinybase.cli.database import faults_explained
from tinybase.config import Config
from tinybase.db import migrate
from tinybase.host.origin import caused_by


@contextmanager
def opened(config: Config, *, actor: Actor, load: bool) -> Iterator[Services]:
    """Make the application, check its database and hand out its services.

    :raises Unavailable: when the database cannot be used or is not at this version.
    """
    with faults_explained():
        app = create_app(config)
        services: Services = app.extensions["tinybase"]
        try:
            with app.app_context(), caused_by(actor=actor, origin="cli"):
                migrate.check(services.database.engine)
                if load:
                    services.host.load()
                yield services
        finally:
            # Handlers run in threads, which would end with the process.
            services.close()
