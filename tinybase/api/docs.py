"""The OpenAPI document over HTTP, and two pages that show it.

Everything that the pages load comes from this server: they work without the internet, and
nobody else learns who reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson
from flask import Flask, Response, request, send_file

from tinybase.api.contributed_openapi import paths_of
from tinybase.api.openapi import build_document
from tinybase.api.operation import Operation
from tinybase.api.reply import JSON_TYPE
from tinybase.api.routes import add_options
from tinybase.errors import NotFound
from tinybase.web import Route

_SWAGGER = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>TinyBase API</title>
<link rel="icon" href="ROOT/docs/assets/images/swagger.svg">
<link rel="stylesheet" href="ROOT/docs/assets/css/swagger-ui.css">
</head>
<body style="margin: 0">
<div id="swagger-ui"></div>
<script src="ROOT/docs/assets/js/swagger-ui-bundle.js"></script>
<script>
SwaggerUIBundle({url: "ROOT/openapi.json", dom_id: "#swagger-ui", deepLinking: true});
</script>
</body>
</html>
"""

_REDOC = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>TinyBase API</title>
<link rel="icon" href="ROOT/redoc/assets/images/redoc.svg">
<link rel="modulepreload" href="ROOT/redoc/assets/js/redoc.standalone.js">
</head>
<body style="margin: 0">
<div id="redoc"></div>
<script type="module">
import {init} from "ROOT/redoc/assets/js/redoc.standalone.js";
init("ROOT/openapi.json", {disableTelemetry: true}, document.getElementById("redoc"));
</script>
</body>
</html>
"""

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; font-src 'self' data:; worker-src blob:; frame-ancestors 'none'"
)
"""What a page may load; ReDoc would also report its use to its makers if it were let."""


@dataclass(frozen=True)
class Page:
    """A page, and the package of which it takes its scripts; ROOT is where we are mounted."""

    path: str
    html: str
    package: str
    folder: str

    @property
    def assets(self) -> Path:
        """Return the folder of the scripts; the package itself is not imported."""
        spec = find_spec(self.package)
        if spec is None or not spec.origin:
            raise NotFound(f"The package {self.package} is not installed.")
        return Path(spec.origin).parent / "templates" / self.folder


PAGES = (
    Page("/docs", _SWAGGER, "flask_openapi_swagger", "swagger"),
    Page("/redoc", _REDOC, "flask_openapi_redoc", "redoc"),
)


class Document:
    """The OpenAPI document: the operations, and what routes extensions have at the moment.

    :param routes: returns these.
    """

    def __init__(
        self, operations: Sequence[Operation], routes: Callable[[], Sequence[Route]]
    ) -> None:
        self._operations = operations
        self._routes = routes
        self._known: tuple[Sequence[Route], bytes] | None = None

    def __call__(self) -> bytes:
        """Return the document, made anew when the routes are others."""
        routes = self._routes()
        known = self._known
        if known is None or known[0] != routes:
            document = {**self._own, "paths": {**self._own["paths"], **paths_of(routes)}}
            self._known = known = (routes, orjson.dumps(document))
        return known[1]

    @cached_property
    def _own(self) -> dict[str, Any]:
        return build_document(self._operations)


def register_docs(
    app: Flask,
    operations: Sequence[Operation],
    routes: Callable[[], Sequence[Route]],
    *,
    pages: bool,
) -> None:
    """Serve the document, and the pages if they are wanted."""
    document = Document(operations, routes)

    def openapi() -> Response:
        return Response(document(), content_type=JSON_TYPE)

    _add(app, "/openapi.json", "openapi", openapi)
    for page in PAGES if pages else ():
        _add_page(app, page)


def _add_page(app: Flask, page: Page) -> None:
    assets = {
        file.relative_to(page.assets).as_posix(): file
        for file in page.assets.rglob("*")
        if file.is_file()
    }

    def show() -> Response:
        html = page.html.replace("ROOT", request.script_root)
        response = Response(html, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = _POLICY
        return response

    def asset(name: str) -> Response:
        if name not in assets:
            raise NotFound("There is nothing at this address.")
        return send_file(assets[name], max_age=3600, conditional=True)

    _add(app, page.path, page.path, show)
    _add(app, f"{page.path}/assets/<path:name>", f"{page.path} assets", asset)


def _add(app: Flask, path: str, endpoint: str, view: object) -> None:
    app.add_url_rule(
        path,
        endpoint=endpoint,
        view_func=view,  # type: ignore[arg-type]
        methods=["GET"],
        provide_automatic_options=False,
    )
    add_options(app, path)
