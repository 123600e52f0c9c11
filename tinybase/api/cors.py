"""Pages of other origins: off unless the operator names them, and never with credentials."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from typing import Any

from flask import Flask, Response, request

from tinybase.config import CorsConfig

_METHODS = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
_REQUEST_HEADERS = (
    "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, X-Request-Id"
)
_EXPOSED = ", ".join(
    (
        "ETag",
        "Location",
        "Link",
        "Retry-After",
        "X-Request-Id",
        "X-Total-Count",
        "X-RateLimit-Limit",
        "X-RateLimit-Remaining",
        "X-RateLimit-Reset",
        "Idempotency-Replayed",
    )
)
_MAX_AGE = "600"


class Cors:
    """Lets pages of the configured origins read answers; without any, does nothing."""

    def __init__(self, config: CorsConfig) -> None:
        self.origins = frozenset(origin.rstrip("/") for origin in config.allow_origins)

    def __call__(self, environ: Mapping[str, Any], headers: MutableMapping[str, str]) -> None:
        """Give an answer the headers that say so."""
        if not self.origins:
            return
        varies = headers.get("Vary")
        headers["Vary"] = f"{varies}, Origin" if varies else "Origin"
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or not self.origins & {origin, "*"}:
            return
        headers["Access-Control-Allow-Origin"] = "*" if "*" in self.origins else origin
        headers["Access-Control-Expose-Headers"] = _EXPOSED
        is_preflight = "HTTP_ACCESS_CONTROL_REQUEST_METHOD" in environ
        if environ["REQUEST_METHOD"] == "OPTIONS" and is_preflight:
            headers["Access-Control-Allow-Methods"] = _METHODS
            headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
            headers["Access-Control-Max-Age"] = _MAX_AGE


def register_cors(app: Flask, config: CorsConfig) -> Cors:
    """Have what Flask answers say whose pages may read it."""
    cors = Cors(config)

    def allow(response: Response) -> Response:
        cors(request.environ, response.headers)  # type: ignore[arg-type]
        return response

    if cors.origins:
        app.after_request(allow)
    return cors
