"""Spans of OpenTelemetry: around requests, functions, and implementations of hooks.

Imported only where the operator wants them and OpenTelemetry is installed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.propagators.textmap import Getter
from opentelemetry.trace import Span, SpanKind, StatusCode

from tinybase._version import __version__
from tinybase.host.recorder import FUNCTION
from tinybase.host.tracing import Answered, Step

_METHODS = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
_FAULTS = frozenset({"failed", "late", "skipped", "quarantined"})


class OpenTelemetrySpans:
    """Makes spans with whatever tracer provider is set up."""

    def __init__(self) -> None:
        self._tracer = trace.get_tracer("tinybase", __version__)

    @contextmanager
    def request(self, environ: Mapping[str, Any]) -> Iterator[Answered]:
        """Surround a request, as the semantic conventions for HTTP want it.

        It continues what the client's ``traceparent`` says. The query is left out, which may
        have secrets.
        """
        given = environ["REQUEST_METHOD"]
        method = given if given in _METHODS else "_OTHER"
        with self._tracer.start_as_current_span(
            "HTTP" if method == "_OTHER" else method,
            context=propagate.extract(environ, getter=_HEADERS),
            kind=SpanKind.SERVER,
            attributes=dict(_about(environ, method)),
            record_exception=False,
        ) as span:
            yield partial(_answered, span, method)

    @contextmanager
    def step(self, step: Step) -> Iterator[None]:
        """Surround the call of an implementation or of a function."""
        hook = step.hook.removeprefix("tinybase_")
        with self._tracer.start_as_current_span(
            f"{hook} {step.handler}",
            attributes={
                "tinybase.extension": step.extension,
                "tinybase.function" if hook == FUNCTION else "tinybase.handler": step.handler,
                "tinybase.hook": hook,
            },
            record_exception=False,
        ) as span:
            yield
            if step.about is not None:
                span.set_attribute("tinybase.about", step.about)
            span.set_attribute("tinybase.outcome", step.outcome or "ok")
            if step.outcome in _FAULTS:
                error = step.error or step.outcome
                span.set_attribute("error.type", error.partition(":")[0])
                span.set_status(StatusCode.ERROR, error)


class _Headers(Getter[Mapping[str, Any]]):
    """Reads the headers of a request from its WSGI environment."""

    def get(self, carrier: Mapping[str, Any], key: str) -> list[str] | None:
        """Return the values of a header."""
        value = carrier.get(f"HTTP_{key.upper().replace('-', '_')}")
        return None if value is None else [value]

    def keys(self, carrier: Mapping[str, Any]) -> list[str]:
        """Return the names of all headers."""
        return [name[5:].replace("_", "-").lower() for name in carrier if name.startswith("HTTP_")]


_HEADERS = _Headers()


def _about(environ: Mapping[str, Any], method: str) -> Iterator[tuple[str, str | int]]:
    yield "http.request.method", method
    yield "url.path", environ.get("PATH_INFO", "")
    yield "url.scheme", environ.get("wsgi.url_scheme", "http")
    for name, key in (
        ("server.address", "SERVER_NAME"),
        ("network.peer.address", "REMOTE_ADDR"),
        ("user_agent.original", "HTTP_USER_AGENT"),
    ):
        if environ.get(key):
            yield name, environ[key]
    if str(environ.get("SERVER_PORT", "")).isdigit():
        yield "server.port", int(environ["SERVER_PORT"])


def _answered(span: Span, method: str, route: str | None, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if route is not None:
        span.update_name(f"{'HTTP' if method == '_OTHER' else method} {route}")
        span.set_attribute("http.route", route)
    if status >= 500:
        span.set_attribute("error.type", str(status))
        span.set_status(StatusCode.ERROR)
