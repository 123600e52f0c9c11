"""The application for WSGI servers.

``tinybase serve`` runs :func:`worker` in each of its processes. Any other server serves
``tinybase.wsgi:app``, or calls the factory :func:`application`; the instance is the folder
in ``TINYBASE_INSTANCE``, else the current one.
"""

from __future__ import annotations

import io
import logging
import os
import signal
import sys
import threading
import time
from functools import cache
from multiprocessing.util import Finalize
from types import FrameType

from flask import Flask
from sqlalchemy.exc import DBAPIError

from tinybase import config as configuration
from tinybase import logs
from tinybase.api.services import Services
from tinybase.app import create_app
from tinybase.db import migrate
from tinybase.errors import TinyBaseError

_log = logging.getLogger(__name__)


def __getattr__(name: str) -> Flask:
    """Make ``app`` when a server asks for it, not when this module is imported."""
    if name == "app":
        return _app()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def application() -> Flask:
    """Make the application, load its extensions and tell them that it starts.

    Call it in the process that answers the requests: threads and connections of the
    database do not survive a fork. ``on_shutdown`` is called when that process ends.

    :raises TinyBaseError: when the configuration or the database does not allow it.
    """
    config = configuration.load(os.environ.get("TINYBASE_INSTANCE", "."))
    logs.configure(config.server.log_level)
    app = create_app(config)
    services: Services = app.extensions["tinybase"]
    migrate.check(services.database.engine)
    # Not atexit: a process of multiprocessing, which granian's workers are, skips that.
    Finalize(None, services.close, exitpriority=10)
    services.host.start()
    services.functions.close_abandoned()
    return app


def worker() -> Flask:
    """Make the application in a worker of ``tinybase serve``."""
    _defer_signals()
    _end_with(os.getppid())
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # What extensions print is seen when they print it, not when a buffer is full.
            stream.reconfigure(line_buffering=True)
    try:
        return application()
    except TinyBaseError as error:
        _log.error("This worker cannot start: %s", error.detail)
        sys.exit(1)


@cache
def _app() -> Flask:
    return application()


def _defer_signals() -> None:
    """Put off a request to stop until the application is complete and granian listens.

    granian sets its own handlers after this module has made the application. Without
    this a signal would be lost, or would end the process in the middle of a start.
    """

    def again_soon(signum: int, _: FrameType | None) -> None:
        threading.Timer(0.1, os.kill, (os.getpid(), signum)).start()

    for signum in (signal.SIGTERM, signal.SIGINT):
        signal.signal(signum, again_soon)


def _end_with(parent: int) -> None:
    """Stop when the supervising process is gone, so that the port is free for the next one."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="tinybase-parent", daemon=True).start()
