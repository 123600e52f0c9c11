"""The application for WSGI servers.

A server serves ``tinybase.wsgi:app``, or calls the factory :func:`application`. The
instance is the folder in ``TINYBASE_INSTANCE``, else the current one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from multiprocessing.util import Finalize

from flask import Flask

from tinybase import config as configuration
from tinybase import logs
from tinybase.api.services import Services
from tinybase.app import create_app
from tinybase.db import migrate
from tinybase.errors import Conflict
from tinybase.packages.generations import Generations

STOP = "tinybase.stop"
"""Under this name ``app.extensions`` has what ends the application; calling it twice is fine."""


def __getattr__(name: str) -> Flask:
    """Make ``app`` when a server asks for it, not when this module is imported."""
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def application(ask_for_replacement: Callable[[], None] | None = None) -> Flask:
    """Make the application, load its extensions and tell them that it starts.

    Call it in the process that answers the requests: threads and connections of the
    database do not survive a fork. ``on_shutdown`` is called when that process ends.

    :param ask_for_replacement: of a server that replaces this process when an update needs
        a new one, or an extension leaves a thread behind that will not end.
    :raises TinyBaseError: when the configuration or the database does not allow it.
    :raises StartAnew: when it has to be replaced at once; only with ``ask_for_replacement``.
    """
    config = configuration.load(os.environ.get("TINYBASE_INSTANCE", "."))
    logs.configure(config.server.log_level, logs.file_of(config.instance))
    app = create_app(config)
    services: Services = app.extensions["tinybase"]
    migrate.check(services.database.engine)
    # Not atexit: a process of multiprocessing, which granian's workers are, skips that.
    app.extensions[STOP] = Finalize(None, services.close, exitpriority=10)
    services.host.ask_for_replacement = ask_for_replacement
    with suppress(Conflict, OSError):  # somebody is at it, or nothing may be written here
        if Generations(config.instance).unfinished() is not None:
            services.extensions.recover()
    services.functions.close_abandoned()
    services.collections.repair_indexes()
    services.host.start()
    return app


@cache
def _app() -> Flask:
    return application()
