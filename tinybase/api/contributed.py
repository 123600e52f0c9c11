"""The addresses that belong to extensions: everything under ``/api/ext/NAME/``."""

from __future__ import annotations

from flask import Flask, Response
from packaging.utils import canonicalize_name

from tinybase.api.services import Services
from tinybase.errors import NotFound, Unavailable

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def register_contributed(app: Flask, services: Services) -> None:
    """Answer for extensions: why one is not available, or that it has no such address."""

    def answer(extension_name: str, path: str = "") -> Response:
        name = canonicalize_name(extension_name)
        state = services.host.snapshot.states.get(name)
        if state is None or state.status in ("enabled", "missing"):
            raise NotFound(f"There is nothing at /api/ext/{extension_name}/{path}.")
        raise Unavailable(
            f"The extension {name} is {state.status}.",
            code="extension_unavailable",
            extension=name,
        )

    for rule in ("/api/ext/<extension_name>", "/api/ext/<extension_name>/<path:path>"):
        app.add_url_rule(
            rule,
            endpoint=f"contributed {rule}",
            view_func=answer,
            methods=_METHODS,
            provide_automatic_options=False,
        )
