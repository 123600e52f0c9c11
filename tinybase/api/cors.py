"""Pages of other origins: off unless the operator names them, and never with credentials."""

from __future__ import annotations

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


def register_cors(app: Flask, config: CorsConfig) -> None:
    """Let pages of the configured origins read answers; without any, do nothing."""
    origins = frozenset(origin.rstrip("/") for origin in config.allow_origins)
    if not origins:
        return

    def allow(response: Response) -> Response:
        response.vary.add("Origin")
        origin = request.headers.get("Origin")
        if origin is None or not origins & {origin, "*"}:
            return response
        headers = response.headers
        headers["Access-Control-Allow-Origin"] = "*" if "*" in origins else origin
        headers["Access-Control-Expose-Headers"] = _EXPOSED
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            headers["Access-Control-Allow-Methods"] = _METHODS
            headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
            headers["Access-Control-Max-Age"] = _MAX_AGE
        return response

    app.after_request(allow)
