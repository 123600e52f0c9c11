"""The whole application of an instance: the rooms, and the REST API in front of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Flask

from tinybase.api.registration import register
from tinybase.config import Config
from tinybase.db import Database
from tinybase.wiring import wire

if TYPE_CHECKING:
    from tinybase.collections.owned import OwnedCollections
    from tinybase.host import Host
    from tinybase.packages.extensions import Extensions


def create_app(config: Config) -> Flask:
    """Make the application of an instance; nothing is started, loaded or connected yet.

    ``app.extensions["tinybase"]`` are its services. A process that answers requests calls
    ``services.host.start()`` before the first one and ``services.close()`` after the
    last.

    :raises ConfigError: for a database address that cannot be used.
    """
    app = wire(config, _make_extensions)
    register(app, app.extensions["tinybase"])
    return app


def _make_extensions(
    config: Config, database: Database, host: Host, owned: OwnedCollections
) -> Extensions:
    # An eighth of all there is to import, for what admins do now and then.
    from tinybase.packages.extensions import Extensions  # noqa: PLC0415

    return Extensions(config, database, host, owned)
