"""The composition root: where the rooms of one application are put together.

Nothing here knows the REST API, which most commands of the command line have no use for.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from typing import TYPE_CHECKING, Any

from flask import Flask
from sqlalchemy import Engine

from tinybase.api.services import Services
from tinybase.auth.limits import RateLimits
from tinybase.auth.tokens import Tokens
from tinybase.auth.users import Users
from tinybase.checks import CHECKS
from tinybase.collections.collections import Collections
from tinybase.collections.owned import OwnedCollections
from tinybase.collections.records import Records
from tinybase.config import Config
from tinybase.db import Database, Session, db
from tinybase.db.engine import engine_settings, prepare
from tinybase.functions.calls import Functions
from tinybase.functions.contexts import Contexts
from tinybase.functions.table import FunctionTable
from tinybase.host import Dispatcher, Host
from tinybase.host.telemetry import spans_of
from tinybase.idempotency import KeptAnswers
from tinybase.settings import Settings

if TYPE_CHECKING:
    from tinybase.packages.extensions import Extensions

Make = Callable[[Config, Database, Host, OwnedCollections], "Extensions"]


def wire(config: Config, make_extensions: Make) -> Flask:
    """Make the application of an instance without its REST API.

    :param make_extensions: is called when somebody asks for the room of the extensions.
    :raises ConfigError: for a database address that cannot be used.
    """
    app = Flask("tinybase", static_folder=None)
    app.config.update(engine_settings(config))
    db.init_app(app)
    with app.app_context():
        engine = db.engine
    prepare(engine, config)
    app.extensions["tinybase"] = _services(app, config, engine, make_extensions)
    return app


def _services(app: Flask, config: Config, engine: Engine, make_extensions: Make) -> Services:
    dispatcher = Dispatcher(config.hooks.wait_ms)
    waits = config.database.busy_timeout_seconds
    database = Database(engine, dispatcher.run, dispatcher.aside, busy_seconds=waits)
    host = Host(config, database, dispatcher, FunctionTable, CHECKS)
    settings = Settings(database)
    users = Users(database, config, host, settings)
    collections = Collections(database, config, host)
    records = Records(database, config, host, collections)
    contexts = Contexts(partial(Session, db, bind=engine), records, collections)
    host.around.scope = app.app_context
    host.around.spans = spans_of(config)
    host.around.open_context = _HandlerContexts(contexts)
    owned = OwnedCollections(database, collections)
    host.provide = owned.provide
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
        contexts=contexts,
        functions=Functions(database, config, host, settings, contexts),
        make_extensions=partial(make_extensions, config, database, host, owned),
    )


class _HandlerContexts:
    """Opens the ``ctx`` of handlers: the contexts of functions, named after the handler."""

    def __init__(self, contexts: Contexts) -> None:
        self._contexts = contexts

    def __call__(self, handler: str) -> AbstractContextManager[Any]:
        return self._contexts.open(function_name=handler)
