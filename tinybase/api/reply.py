"""An answer on its way to the client."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from flask import Response
from werkzeug.http import HTTP_STATUS_CODES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

JSON_TYPE = "application/json; charset=utf-8"

_BODILESS = frozenset({204, 304})
# In capitals, as Flask writes them.
_LINES = {status: f"{status} {phrase.upper()}" for status, phrase in HTTP_STATUS_CODES.items()}


class Reply:
    """A status, headers and a body, of JSON unless they say otherwise; ``None`` is no body.

    It is what we need of Flask's response, which takes longer to make than what it holds.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes | None) -> None:
        self.status = status
        self.headers = dict(headers)
        self.body = body
        if body is not None:
            self.headers.setdefault("Content-Type", JSON_TYPE)

    def as_response(self) -> Response:
        """Return it for Flask, which sends it on."""
        response = Response(self.body, self.status)
        if self.body is None:
            del response.headers["Content-Type"]
        response.headers.update(self.headers)
        return response

    @property
    def line(self) -> str:
        """Return the status as servers want it; extensions may choose one that has no name."""
        return _LINES.get(self.status) or f"{self.status} UNKNOWN"

    def send(self, start_response: StartResponse, *, head: bool = False) -> list[bytes]:
        """Send it to the server; the answer to HEAD has no body, but says how long it is."""
        headers = list(self.headers.items())
        if self.body is None:
            # Where there is none, its length would be that of another answer.
            if self.status not in _BODILESS:
                headers.append(("Content-Length", "0"))
            start_response(self.line, headers)
            return []
        headers.append(("Content-Length", str(len(self.body))))
        start_response(self.line, headers)
        return [] if head else [self.body]
