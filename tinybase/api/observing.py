"""The outermost layer: it counts requests, and shows an admin what they called."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any

from tinybase.api.headers import caller_of, route_of
from tinybase.api.operation import bearer_token
from tinybase.auth.tokens import Tokens
from tinybase.host import Host
from tinybase.host.tracing import Trace

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

TRACE_HEADER = "X-TinyBase-Trace"
"""Asks for what a request calls, and carries it back."""

_ASKED = "HTTP_X_TINYBASE_TRACE"
_LARGEST_TRACE = 8 * 1024

_Headers = list[tuple[str, str]]


class Observed:
    """A WSGI application around everything else."""

    def __init__(self, app: WSGIApplication, host: Host, tokens: Tokens) -> None:
        self._app = app
        self._requests = host.requests
        self._around = host.around
        self._tokens = tokens

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Have a request answered, and count it."""
        started = time.perf_counter_ns()
        status = 500

        def start(line: str, headers: _Headers, *exc_info: Any) -> Callable[[bytes], object]:
            nonlocal status
            status = int(line[:3])
            return start_response(line, headers, *exc_info)

        try:
            if self._around.spans is not None:
                with self._around.spans.request(environ) as answered:
                    try:
                        return self._watched(environ, start)
                    finally:
                        answered(route_of(environ), status)
            if environ.get(_ASKED) == "1":
                return self._watched(environ, start)
            return self._app(environ, start)
        finally:
            took = time.perf_counter_ns() - started
            self._requests.count(environ["REQUEST_METHOD"], route_of(environ), status, took)

    def _watched(self, environ: WSGIEnvironment, start: StartResponse) -> Iterable[bytes]:
        """Have a request answered while everything that it calls is noted."""
        is_asked = environ.get(_ASKED) == "1"
        trace = Trace(self._around.spans, is_kept=is_asked)
        with trace.watching():
            return self._app(
                environ, partial(self._told, environ, trace, start) if is_asked else start
            )

    def _told(
        self,
        environ: WSGIEnvironment,
        trace: Trace,
        start: StartResponse,
        line: str,
        headers: _Headers,
        *exc_info: Any,
    ) -> Callable[[bytes], object]:
        """Begin the answer, with what was called if an admin asks."""
        if self._is_from_admin(environ):
            # Of use to nobody else, and not twice.
            headers = [item for item in headers if item[0].lower() != "cache-control"]
            headers.append(("Cache-Control", "no-store"))
            headers.append((TRACE_HEADER, trace.as_json(_LARGEST_TRACE).decode()))
        return start(line, headers, *exc_info)

    def _is_from_admin(self, environ: WSGIEnvironment) -> bool:
        caller = caller_of(environ)
        if caller is not None:
            return caller.is_admin
        # A public address, or no address at all: nobody has looked at the token.
        token = bearer_token(environ.get("HTTP_AUTHORIZATION"))
        try:
            return token is not None and self._tokens.authenticate(token).is_admin
        except Exception:  # noqa: BLE001 - whatever it is, the client gets the answer
            return False
