"""The whole REST API, and an application that serves it."""

from __future__ import annotations

from functools import partial

from flask import Flask

from tinybase.api import (
    application_tokens,
    auth,
    collections,
    extensions,
    function_calls,
    functions,
    hooks,
    metrics,
    records,
    settings,
    users,
)
from tinybase.api.addresses import AddressReader
from tinybase.api.contributed import make_mounts, register_contributed, routes_now
from tinybase.api.cors import register_cors
from tinybase.api.direct import DirectEntry
from tinybase.api.docs import register_docs
from tinybase.api.errors import ErrorAnswers, register_error_handlers
from tinybase.api.headers import register_headers
from tinybase.api.middleware import Middleware
from tinybase.api.observing import Observed
from tinybase.api.operation import Operation, Who
from tinybase.api.routes import add_operations, prepare_routing
from tinybase.api.services import Services
from tinybase.api.system import system_operations


def operations_of(services: Services) -> list[Operation]:
    """Return every operation of the API, in the order of its document."""
    rooms = (
        system_operations(services),
        auth.operations,
        collections.operations,
        records.operations,
        functions.operations,
        function_calls.operations,
        users.operations,
        settings.operations,
        application_tokens.operations,
        extensions.operations,
        hooks.operations,
        metrics.operations,
    )
    return [operation for room in rooms for operation in room]


def register(app: Flask, services: Services) -> None:
    """Serve the whole API with an application."""
    operations = operations_of(services)
    prepare_routing(app)
    answer_error = ErrorAnswers(services.host.around.report)
    register_error_handlers(app, answer_error)
    register_headers(app)
    cors = register_cors(app, services.config.cors)
    endpoints = add_operations(app, services, operations)
    mounts = make_mounts(services)
    register_contributed(app, services, mounts)
    routes = partial(routes_now, services.host, mounts)
    register_docs(app, operations, routes, pages=services.config.api.docs)
    # The code of functions may count on Flask being around it.
    direct = [(path, each) for path, each in endpoints if each.operation.who is not Who.FUNCTION]
    on_sqlite = services.database.engine.dialect.name == "sqlite"
    entry = DirectEntry(app, direct, cors, answer_error, one_by_one=on_sqlite)
    address_of = AddressReader(services.config.server.trusted_proxies)
    middleware = Middleware(entry, services.host, address_of, cors, answer_error)
    observed = Observed(middleware, services.host, services.tokens)
    app.wsgi_app = observed  # type: ignore[method-assign]
