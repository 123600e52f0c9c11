"""Adding labelled operations to one Flask application."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from flask import Flask, Response
from werkzeug.routing import BaseConverter, Rule

from tinybase.api.addresses import AddressReader
from tinybase.api.dispatch import Endpoint
from tinybase.api.operation import Operation
from tinybase.api.services import Services


class IdConverter(BaseConverter):
    """``<uuid:name>`` in a path takes anything: a bad identifier is a 422, not a 404."""


class _Route(Rule):
    """A route that learns to write its address when ``url_for`` first asks for that, if ever.

    Werkzeug compiles two functions for it beforehand, a third of what an application costs.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Callable[..., tuple[str, str]]:  # noqa: FBT001, FBT002 - werkzeug's
        compile_now = super()._compile_builder
        compiled: Callable[..., tuple[str, str]] | None = None

        def build(route: Rule, /, **values: object) -> tuple[str, str]:
            nonlocal compiled
            if compiled is None:
                compiled = compile_now(append_unknown)
            return compiled(route, **values)

        return build


def prepare_routing(app: Flask) -> None:
    """Have no address redirect, and identifiers checked by us instead of by the route."""
    app.url_rule_class = _Route
    app.url_map.strict_slashes = False
    app.url_map.merge_slashes = False
    app.url_map.converters = {**app.url_map.converters, "uuid": IdConverter}


def add_operations(
    app: Flask, services: Services, operations: Iterable[Operation]
) -> list[tuple[str, Endpoint]]:
    """Serve the operations, and OPTIONS at each of their addresses.

    Return the endpoints with their addresses.
    """
    address_of = AddressReader(services.config.server.trusted_proxies)
    paths: dict[str, None] = {}
    endpoints: list[tuple[str, Endpoint]] = []
    for operation in operations:
        endpoint = Endpoint(operation, services, address_of)
        for path in (operation.path, *operation.aliases):
            app.add_url_rule(
                path,
                endpoint=operation.id,
                view_func=endpoint,
                methods=[operation.method],
                provide_automatic_options=False,
            )
            paths[path] = None
            endpoints.append((path, endpoint))
    for path in paths:
        add_options(app, path)
    return endpoints


def add_options(app: Flask, path: str) -> None:
    """Answer OPTIONS at an address with the methods that it knows."""

    def options(**_: str) -> Response:
        response = app.make_default_options_response()
        response.status_code = 204
        del response.headers["Content-Type"]
        return response

    app.add_url_rule(
        path,
        endpoint=f"options {path}",
        view_func=options,
        methods=["OPTIONS"],
        provide_automatic_options=False,
    )
