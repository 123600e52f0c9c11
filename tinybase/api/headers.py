"""Headers that every answer has, and the size of what a request may have in front of its body."""

from __future__ import annotations

import re

from flask import Flask, Response, request
from uuid_utils import uuid7

from tinybase.errors import NotFound, TinyBaseError

LONGEST_URL = 8 * 1024
LARGEST_HEADERS = 16 * 1024

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REQUEST_ID_KEY = "tinybase.request_id"
_HEADERS_KEY = "tinybase.answer_headers"
_SECRET_PATHS = ("/api/auth", "/api/admin")


def register_headers(app: Flask) -> None:
    """Check the size of every request's head and complete the headers of every answer."""
    app.before_request(_check_head)
    app.after_request(_complete)


def request_id() -> str:
    """Return the id of the current request: the client's own if it is well formed."""
    environ = request.environ
    known: str | None = environ.get(_REQUEST_ID_KEY)
    if known is None:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        known = given if _REQUEST_ID.fullmatch(given) else str(uuid7())
        environ[_REQUEST_ID_KEY] = known
    return known


def add_header(name: str, value: str) -> None:
    """Send a header with the answer to the current request, also when it is an error."""
    request.environ.setdefault(_HEADERS_KEY, {})[name] = value


def _check_head() -> None:
    environ = request.environ
    path = environ.get("PATH_INFO", "")
    if len(path) + len(environ.get("QUERY_STRING", "")) > LONGEST_URL:
        raise TinyBaseError(f"The URL is longer than {LONGEST_URL} bytes.", code="uri_too_long")
    size = sum(
        len(name) + len(value) for name, value in environ.items() if name.startswith("HTTP_")
    )
    if size > LARGEST_HEADERS:
        raise TinyBaseError(
            f"The headers have more than {LARGEST_HEADERS} bytes.", code="headers_too_large"
        )
    if "\0" in path:
        # No name has a NUL character, and not every database can even look for one.
        raise NotFound("There is nothing at this address.")


def _complete(response: Response) -> Response:
    headers = response.headers
    headers["X-Request-Id"] = request_id()
    headers["X-Content-Type-Options"] = "nosniff"
    path = request.path
    if path.startswith("/api"):
        response.vary.add("Authorization")
        if "Cache-Control" not in headers:
            secret = path.startswith(_SECRET_PATHS)
            headers["Cache-Control"] = "no-store" if secret else "private, no-cache"
    for name, value in request.environ.get(_HEADERS_KEY, {}).items():
        headers.setdefault(name, value)
    return response
