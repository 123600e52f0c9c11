"""The whole application of an instance: the rooms, and the REST API in front of them."""

from __future__ import annotations

from flask import Flask

from tinybase.api.registration import register
from tinybase.config import Config
from tinybase.packages.extensions import Extensions
from tinybase.wiring import wire


def create_app(config: Config) -> Flask:
    """Make the application of an instance; nothing is started, loaded or connected yet.

    ``app.extensions["tinybase"]`` are its services. A process that answers requests calls
    ``services.host.start()`` before the first one and ``services.close()`` after the
    last.

    :raises ConfigError: for a database address that cannot be used.
    """
    app = wire(config, Extensions)
    register(app, app.extensions["tinybase"])
    return app
