"""Headers that every answer has, and the size of what a request may have in front of its body."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from flask import Flask, Response, request
from uuid_utils import uuid7

from tinybase.actors import ANONYMOUS, Actor
from tinybase.errors import NotFound, TinyBaseError

LONGEST_URL = 8 * 1024
LARGEST_HEADERS = 16 * 1024

_REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_REQUEST_ID_KEY = "tinybase.request_id"
_ACTOR_KEY = "tinybase.actor"
_HEADERS_KEY = "tinybase.answer_headers"
_CALLER_KEY = "tinybase.caller"
_ROUTE_KEY = "tinybase.route"
_SECRET_PATHS = ("/api/auth", "/api/admin")


_environ: ContextVar[dict[str, Any] | None] = ContextVar("tinybase_environ", default=None)


def register_headers(app: Flask) -> None:
    """Check the size of every request's head and complete the headers of every answer."""
    app.before_request(lambda: check_head(request.environ))
    app.after_request(_complete)


@contextmanager
def entered(environ: dict[str, Any]) -> Iterator[None]:
    """Have a request that does not come through Flask be the current one for a while."""
    token = enter(environ)
    try:
        yield
    finally:
        leave(token)


enter = _environ.set
"""Do what :func:`entered` does until :func:`leave` gets the token; for who has to be fast."""

leave = _environ.reset


def current_environ() -> dict[str, Any]:
    """Return the WSGI environment of the current request, whichever way that came in."""
    return _environ.get() or request.environ


def request_id(environ: dict[str, Any] | None = None) -> str:
    """Return the id of a request: the client's own if it is well formed.

    :param environ: of the current request, if it is not given.
    """
    if environ is None:
        environ = current_environ()
    known: str | None = environ.get(_REQUEST_ID_KEY)
    if known is None:
        given = environ.get("HTTP_X_REQUEST_ID")
        known = given if given and _REQUEST_ID.fullmatch(given) else str(uuid7())
        environ[_REQUEST_ID_KEY] = known
    return known


def watch_actor(environ: dict[str, Any]) -> None:
    """Have it noted who sends a request, for those who want to know afterwards."""
    environ[_ACTOR_KEY] = ANONYMOUS


def note_actor(environ: dict[str, Any], actor: Actor) -> None:
    """Note who sent a request, if anybody wants to know."""
    if _ACTOR_KEY in environ:
        environ[_ACTOR_KEY] = actor


def actor_of(environ: Mapping[str, Any]) -> Actor:
    """Return who sent a request, as far as that has been noted."""
    actor: Actor = environ.get(_ACTOR_KEY, ANONYMOUS)
    return actor


def note_caller(environ: dict[str, Any], caller: Actor) -> None:
    """Note who sent a request, as the credentials have it."""
    environ[_CALLER_KEY] = caller


def caller_of(environ: Mapping[str, Any]) -> Actor | None:
    """Return who sent a request, or ``None`` if nobody has looked at the credentials."""
    caller: Actor | None = environ.get(_CALLER_KEY)
    return caller


def note_route(environ: dict[str, Any], template: str) -> None:
    """Note at which kind of address a request arrived, such as ``/api/users/{user_id}``."""
    environ[_ROUTE_KEY] = template


def route_of(environ: Mapping[str, Any]) -> str | None:
    """Return at which kind of address a request arrived, or ``None`` for no route."""
    template: str | None = environ.get(_ROUTE_KEY)
    return template


def add_header(name: str, value: str) -> None:
    """Send a header with the answer to the current request, also when it is an error."""
    current_environ().setdefault(_HEADERS_KEY, {})[name] = value


def check_head(environ: dict[str, Any]) -> None:
    """Refuse a request whose head is too large, or whose path no name can have.

    :raises TinyBaseError: ``uri_too_long`` or ``headers_too_large``.
    :raises NotFound: for a NUL character in the path.
    """
    path = environ.get("PATH_INFO", "")
    if len(path) + len(environ.get("QUERY_STRING", "")) > LONGEST_URL:
        raise TinyBaseError(f"The URL is longer than {LONGEST_URL} bytes.", code="uri_too_long")
    size = 0
    for name, value in environ.items():
        if name[:5] == "HTTP_":
            size += len(name) + len(value)
    if size > LARGEST_HEADERS:
        raise TinyBaseError(
            f"The headers have more than {LARGEST_HEADERS} bytes.", code="headers_too_large"
        )
    if "\0" in path:
        # No name has a NUL character, and not every database can even look for one.
        raise NotFound("There is nothing at this address.")


def complete(environ: dict[str, Any], headers: MutableMapping[str, str]) -> None:
    """Give an answer the headers that all of them have."""
    headers["X-Request-Id"] = request_id(environ)
    headers["X-Content-Type-Options"] = "nosniff"
    path = environ.get("PATH_INFO", "")
    if path.startswith("/api"):
        varies = headers.get("Vary")
        headers["Vary"] = f"{varies}, Authorization" if varies else "Authorization"
        if "Cache-Control" not in headers:
            secret = path.startswith(_SECRET_PATHS)
            headers["Cache-Control"] = "no-store" if secret else "private, no-cache"
    if _HEADERS_KEY in environ:
        for name, value in environ[_HEADERS_KEY].items():
            headers.setdefault(name, value)


def _complete(response: Response) -> Response:
    complete(request.environ, response.headers)  # type: ignore[arg-type]
    return response
