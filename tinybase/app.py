"""The composition root: where the rooms of one application are put together."""

from __future__ import annotations

from contextlib import AbstractContextManager
from functools import partial
from typing import Any

from flask import Flask
from sqlalchemy import Engine

from tinybase import api
from tinybase.api.services import Services
from tinybase.auth.limits import RateLimits
from tinybase.auth.tokens import Tokens
from tinybase.auth.users import Users
from tinybase.checks import CHECKS
from tinybase.collections.collections import Collections
from tinybase.collections.records import Records
from tinybase.config import Config
from tinybase.db import Database, Session, db
from tinybase.db.engine import engine_settings, prepare
from tinybase.functions.calls import Functions
from tinybase.functions.contexts import Contexts
from tinybase.functions.table import FunctionTable
from tinybase.host import Dispatcher, Host
from tinybase.idempotency import KeptAnswers
from tinybase.packages.extensions import Extensions
from tinybase.settings import Settings

def create_app(config: Config) -> Flask:
    """Make the application of an instance; nothing is started, loaded or connected yet.

    ``app.extensions["tinybase"]`` are its services. A process that answers requests calls
    ``services.host.start()`` before the first one and ``services.close()`` after the
    last.

    :raises ConfigError: for a database address that cannot be used.
    """
    app = Flask("tinybase", static_folder=None)
    app.config.update(engine_settings(config))
    db.init_app(app)
    with app.app_context():
        engine = db.engine
    prepare(engine, config)
    services = _wire(app, config, engine)
    app.extensions["tinybase"] = services
    api.register(app, services)
    return app


def _wire(app: Flask, config: Config, engine: Engine) -> Services:
    dispatcher = Dispatcher(config.hooks.wait_ms)
    waits = config.database.busy_timeout_seconds
    database = Database(engine, dispatcher.run, busy_seconds=waits)
    host = Host(config, database, dispatcher, FunctionTable, CHECKS)
    settings = Settings(database)
    users = Users(database, config, host, settings)
    collections = Collections(database, config, host)
    records = Records(database, config, host, collections)
    contexts = Contexts(partial(Session, db, bind=engine), records, collections)
    host.around.scope = app.app_context
    host.around.open_context = _HandlerContexts(contexts)
    return Services(
        config=config,
        database=database,
        host=host,
        settings=settings,
        users=users,
        tokens=Tokens(database, config, host, users),
        rate_limits=RateLimits(database, config),
        kept_answers=KeptAnswers(database, config),
        collections=collections,
        records=records,
        functions=Functions(database, config, host, settings, contexts),
        extensions=Extensions(config, database, host),
    )


class _HandlerContexts:
    """Opens the ``ctx`` of handlers: the contexts of functions, named after the handler."""

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts

    def __call__(self, handler: str) -> AbstractContextManager[Any]:
        return self._contexts.open(function_name=handler)
