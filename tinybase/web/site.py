"""A site: the routes under one name of ``/api/ext``, as a Flask application of their own.

An application cannot lose routes while it runs, so the extensions' routes are not in the
server's own. Each snapshot has sites of its own instead: they come and go with it, and a
request that has begun keeps to the ones it began with.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from flask import Flask, Response, request
from flask.json.provider import DefaultJSONProvider
from flask.typing import ResponseReturnValue
from werkzeug.routing import MapAdapter, Rule

from tinybase.db import format_time
from tinybase_hookspecs import BlueprintDeclaration

PARAMETER = re.compile(r"<(?:([^:<>]+):)?(\w+)>")
"""A parameter in a rule of Werkzeug's: its converter, if it has one, and its name."""

RunAsync = Callable[[Coroutine[Any, Any, Any]], Any]
View = Callable[[], ResponseReturnValue]


@dataclass(frozen=True)
class Route:
    """What answers one method at one address.

    ``path`` is the address with its parameters as ``{name}``; ``handler`` names the view as
    logs do.
    """

    owner: str
    method: str
    path: str
    rule: Rule
    level: str
    handler: str
    summary: str
    description: str
    declaration: BlueprintDeclaration
    wants_context: bool

    @property
    def extension(self) -> str:
        """Return the extension it belongs to, ``project`` for the operator's own code."""
        return self.owner.partition(":")[0]

    @property
    def parameters(self) -> Iterator[tuple[str, str]]:
        """Yield the name and the converter of each parameter in the address."""
        for converter, name in PARAMETER.findall(self.rule.rule):
            yield name, converter.partition("(")[0] or "string"

    @property
    def module(self) -> str:
        """Return the module of the view."""
        return self.handler.partition(":")[0]


class Site(Flask):
    """The application of the routes under one name.

    :param around_view: calls the view, and decides what is around it.
    :param run_async: returns the result of a coroutine.
    """

    def __init__(
        self,
        name: str,
        around_view: Callable[[View], ResponseReturnValue],
        run_async: RunAsync,
    ) -> None:
        super().__init__("tinybase", static_folder=None, template_folder=None)
        self.routes: dict[tuple[int, str], Route] = {}
        self._site_name = name
        self._around_view = around_view
        self._run_async = run_async
        self.json = _Json(self)
        # As everywhere in the API: no address redirects.
        self.url_map.strict_slashes = False
        self.url_map.merge_slashes = False
        self.url_map.redirect_defaults = False

    @cached_property
    def logger(self) -> logging.Logger:
        """Return the logger of views that ask ``current_app`` for one."""
        return logging.getLogger(f"tinybase.ext.{self._site_name}")

    def add(self, route: Route) -> None:
        """Write down a route, the rule of which is registered already."""
        # By identity, because rules cannot be hashed; the map keeps them alive.
        self.routes[id(route.rule), route.method] = route

    def find(self, environ: dict[str, Any]) -> Route | None:
        """Return the route that a request asks for; ``None`` for OPTIONS, which needs none.

        :raises HTTPException: when there is none, or none with the method.
        """
        rule, _ = self._adapter(environ).match(return_rule=True)
        method = environ["REQUEST_METHOD"]
        return self.routes.get((id(rule), "GET" if method == "HEAD" else method))

    def methods_at(self, environ: dict[str, Any]) -> list[str]:
        """Return the methods that the address of a request knows."""
        return sorted(self._adapter(environ).allowed_methods())

    def dispatch_request(self) -> ResponseReturnValue:
        """Call the view of the current request."""
        if request.routing_exception is not None:
            return super().dispatch_request()
        return self._around_view(super().dispatch_request)

    def async_to_sync(self, func: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., Any]:
        """Return a function that runs an ``async`` view as handlers are run."""
        return lambda *arguments, **named: self._run_async(func(*arguments, **named))

    def _adapter(self, environ: dict[str, Any]) -> MapAdapter:
        return self.url_map.bind_to_environ(environ)


class _Json(DefaultJSONProvider):
    """Writes times as the rest of the API does."""

    sort_keys = False

    @staticmethod
    def default(o: Any) -> Any:
        """Return a JSON value for something that is none."""
        return format_time(o) if isinstance(o, datetime) else DefaultJSONProvider.default(o)


def no_content(methods: list[str]) -> Response:
    """Answer OPTIONS with the methods that an address knows."""
    response = Response(status=204)
    del response.headers["Content-Type"]
    response.headers["Allow"] = ", ".join(methods)
    return response
