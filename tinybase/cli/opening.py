"""The application for one command; the heaviest import of the command line."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tinybase.actors import Actor
from tinybase.api.services import Services
from tinybase.cli.database import faults_explained
from tinybase.collections.owned import OwnedCollections
from tinybase.config import Config
from tinybase.db import Database, migrate
from tinybase.host import Host
from tinybase.host.origin import caused_by
from tinybase.wiring import wire

if TYPE_CHECKING:
    from tinybase.packages.extensions import Extensions


@contextmanager
def opened(config: Config, *, actor: Actor, load: bool) -> Iterator[Services]:
    """Make the application, check its database and hand out its services.

    :raises Unavailable: when the database cannot be used or is not at this version.
    """
    with faults_explained():
        app = wire(config, _extensions)
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


def _extensions(
    config: Config, database: Database, host: Host, owned: OwnedCollections
) -> Extensions:
    # Installing is the largest room, and most commands do not enter it.
    from tinybase.packages.extensions import Extensions  # noqa: PLC0415

    return Extensions(config, database, host, owned)
