"""An answer on its way to the client."""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING

from flask import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse

JSON_TYPE = "application/json; charset=utf-8"

_LINES = {status.value: f"{status.value} {status.phrase}" for status in HTTPStatus}


class Reply:
    """A status, headers and a body of JSON; ``None`` is no body.

    It is what we need of Flask's response, which takes longer to make than what it holds.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: Mapping[str, str], body: bytes | None) -> None:
        self.status = status
        self.headers = dict(headers)
        self.body = body
        if body is not None:
            self.headers["Content-Type"] = JSON_TYPE

    def as_response(self) -> Response:
        """Return it for Flask, which sends it on."""
        response = Response(self.body, self.status)
        if self.body is None:
            del response.headers["Content-Type"]
        response.headers.update(self.headers)
        return response

    def send(self, start_response: StartResponse) -> list[bytes]:
        """Send it to the server."""
        headers = list(self.headers.items())
        if self.body is None:
            # Where there is none, its length would be that of another answer.
            if self.status not in _BODILESS:
                headers.append(("Content-Length", "0"))
            start_response(_LINES[self.status], headers)
            return []
        headers.append(("Content-Length", str(len(self.body))))
        start_response(_LINES[self.status], headers)
        return [self.body]


_BODILESS = frozenset({204, 304})
