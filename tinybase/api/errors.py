"""The one error body.

Whatever goes wrong – a foreseen fault, an unknown path, a wrong method, a fault nobody
foresaw – the client gets ``detail``, ``code`` and ``request_id``, and nothing of the
server's insides.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any

import orjson
from flask import Flask
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.http import HTTP_STATUS_CODES

from tinybase.api.headers import actor_of, current_environ, request_id
from tinybase.api.reply import Reply
from tinybase.errors import Fault, Invalid, TinyBaseError
from tinybase.host import caused_by
from tinybase.host.reporting import Report, report_nothing

log = logging.getLogger(__name__)

_CODE_OF_STATUS = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    413: "payload_too_large",
    414: "uri_too_long",
    415: "unsupported_media_type",
    431: "headers_too_large",
}
_CODE_OF_ABORT = {
    401: "not_authenticated",
    403: "forbidden",
    409: "conflict",
    412: "version_mismatch",
    422: "rejected_by_extension",
    428: "precondition_required",
    429: "rate_limited",
    503: "extension_unavailable",
}
_DETAIL_OF_STATUS = {
    404: "There is nothing at this address.",
    405: "This address does not know the method; the Allow header names those that it knows.",
}
_BAD_TOKEN = frozenset({"invalid_token", "token_expired", "wrong_token_type", "token_reused"})
_LONGEST_PART = 200


class ErrorAnswers:
    """Answers whatever goes wrong, and has it reported where nobody had foreseen it.

    :param report: tells the extensions.
    """

    def __init__(self, report: Report = report_nothing) -> None:
        self._report = report

    def __call__(self, error: Exception) -> Reply:
        """Return the answer to the current request."""
        reply = render_any(error)
        if reply.status == 500:
            environ = current_environ()
            with caused_by(actor=actor_of(environ), origin="http", request_id=request_id()):
                self._report(
                    error,
                    source="request",
                    method=environ["REQUEST_METHOD"],
                    path=environ.get("PATH_INFO", ""),
                )
        return reply


def render_any(error: Exception) -> Reply:
    """Answer whatever went wrong."""
    if isinstance(error, TinyBaseError):
        return render(error)
    if isinstance(error, HTTPException):
        return render_http(error)
    return render_unforeseen(error)


def register_error_handlers(
    app: Flask, answer_error: Callable[[Exception], Reply] = render_any
) -> None:
    """Have every fault of the application answered with the one error body."""
    app.register_error_handler(Exception, lambda error: answer_error(error).as_response())


def render(error: TinyBaseError) -> Reply:
    """Answer a foreseen fault."""
    status = error.status
    if status == 500:
        # What an extension did wrong has been logged by the guard, with its traceback.
        known = error.code == "extension_error"
        log.error("%s (request %s)", error.detail, request_id(), exc_info=None if known else error)
    elif status > 500:
        log.warning("%s: %s (request %s)", error.code, error.detail, request_id())
    members = dict(error.members)
    detail: object = error.detail
    faults = list(error.faults) if isinstance(error, Invalid) else []
    if status == 422:
        loc = tuple(members.pop("loc", ("body",)))
        detail = _dicts(faults or [Fault(loc, error.detail, error.code)])
    elif faults:
        members["errors"] = _dicts(faults)
    headers = dict(error.headers)
    if status == 401:
        headers["WWW-Authenticate"] = _challenge(error.code)
    return _answer(status, error.code, detail, members, headers)


def render_http(error: HTTPException) -> Reply:
    """Answer what Werkzeug refuses: an unknown path, a wrong method, a broken request."""
    status = error.code or 500
    headers = {}
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        headers["Allow"] = ", ".join(sorted(error.valid_methods))
    detail = _DETAIL_OF_STATUS.get(status) or f"{_phrase(status)}."
    code = _CODE_OF_STATUS.get(status, "internal_error" if status >= 500 else "bad_request")
    return _answer(status, code, detail, {}, headers)


def render_aborted(error: HTTPException, extension: str) -> Reply:
    """Answer what a view of an extension refuses in Flask's way, in the words of its author."""
    status = error.code or 500
    code = _CODE_OF_ABORT.get(status) or _CODE_OF_STATUS.get(status)
    if code is None:
        code = "extension_error" if status >= 500 else "bad_request"
    said = vars(error).get("description")
    text = str(said) if said else _DETAIL_OF_STATUS.get(status) or f"{_phrase(status)}."
    detail: object = text
    if status == 422:
        detail = _dicts([Fault(("body",), text, code)])
    headers = {k: v for k, v in error.get_headers() if k.lower() != "content-type"}
    if status == 401:
        headers.setdefault("WWW-Authenticate", _challenge(code))
    members = {"extension": extension} if status >= 500 or status == 422 else {}
    return _answer(status, code, detail, members, headers)


def render_unforeseen(error: Exception) -> Reply:
    """Log a fault that nobody foresaw and answer with nothing but the request id."""
    environ = current_environ()
    method, path = environ["REQUEST_METHOD"], environ.get("PATH_INFO", "")
    log.error("%s %s failed (request %s)", method, path, request_id(), exc_info=error)
    detail = "The server failed; the request id leads its operator to the reason."
    return _answer(500, "internal_error", detail, {}, {})


def _answer(
    status: int, code: str, detail: object, members: dict[str, Any], headers: dict[str, str]
) -> Reply:
    body = {"detail": detail, "code": code, "request_id": request_id(), **members}
    return Reply(status, headers, orjson.dumps(body, default=str))


def _phrase(status: int) -> str:
    """Return the name of a status; extensions may choose one that has none."""
    return HTTP_STATUS_CODES.get(status, "Refused")


def _challenge(code: str) -> str:
    return 'Bearer error="invalid_token"' if code in _BAD_TOKEN else "Bearer"


def _dicts(faults: Iterable[Fault]) -> list[dict[str, Any]]:
    return [{**fault.as_dict(), "loc": [_part(part) for part in fault.loc]} for fault in faults]


def _part(part: str | int) -> str | int:
    """Make a client's own key fit to be said back: no lone surrogates, and not endless."""
    if isinstance(part, int):
        return part
    text = part.encode("utf-8", "replace").decode()
    return text if len(text) <= _LONGEST_PART else f"{text[:_LONGEST_PART]}…"
