"""What extensions do around every request, whichever way it is answered.

It is the outermost layer of the application. While nobody listens, a request passes it
unseen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import orjson
import pluggy

from tinybase.api.addresses import AddressReader
from tinybase.api.cors import Cors
from tinybase.api.headers import actor_of, complete, entered, request_id, watch_actor
from tinybase.api.reply import Reply
from tinybase.host import Host, caused_by, event_facts
from tinybase_hookspecs import Answer, RequestEvent, ResponseEvent

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_Headers = list[tuple[str, str]]

_OF_THE_BODY = frozenset({"connection", "content-length", "transfer-encoding"})
"""What the server needs to send the body, and nobody may change."""


class Middleware:
    """A WSGI application in front of all others.

    :param answer_error: answers what goes wrong.
    """

    def __init__(
        self,
        app: WSGIApplication,
        host: Host,
        address_of: AddressReader,
        cors: Cors,
        answer_error: Callable[[Exception], Reply],
    ) -> None:
        self._app = app
        self._host = host
        self._address_of = address_of
        self._cors = cors
        self._answer_error = answer_error
        self._known: tuple[pluggy.PluginManager | None, bool] = (None, False)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Ask whoever wants to be asked, have the request answered, and tell."""
        pm = self._host.pm
        known = self._known
        if known[0] is not pm:
            self._known = known = (pm, _is_heard(pm))
        if not known[1]:
            return self._app(environ, start_response)
        watch_actor(environ)
        start = partial(self._start, environ, start_response)
        reply = self._ask(environ)
        if reply is None:
            return self._app(environ, start)
        return reply.send(start, head=environ["REQUEST_METHOD"] == "HEAD")

    def _ask(self, environ: WSGIEnvironment) -> Reply | None:
        """Return the answer of the first extension that has one."""
        with self._about(environ):
            try:
                answer = self._answer(environ)
            except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
                reply = self._answer_error(error)
            else:
                if answer is None:
                    return None
                body = None if answer.body is None else orjson.dumps(answer.body)
                reply = Reply(answer.status, answer.headers, body)
            self._cors(environ, reply.headers)
            complete(environ, reply.headers)
        return reply

    def _answer(self, environ: WSGIEnvironment) -> Answer | None:
        hook = self._host.pm.hook.tinybase_before_request
        if not hook.get_hookimpls():
            return None
        event = RequestEvent(
            environ["REQUEST_METHOD"],
            _path(environ),
            environ.get("QUERY_STRING", ""),
            dict(_request_headers(environ)),
            self._address_of(environ),
            **event_facts(),
        )
        answer: Answer | None = hook(event=event)
        return answer

    def _start(
        self,
        environ: WSGIEnvironment,
        start_response: StartResponse,
        status: str,
        headers: _Headers,
        *exc_info: Any,
    ) -> Callable[[bytes], object]:
        """Tell that an answer is about to be sent; send it with the headers that it has then."""
        with self._about(environ):
            hook = self._host.pm.hook.tinybase_after_request
            if hook.get_hookimpls():
                event = ResponseEvent(
                    environ["REQUEST_METHOD"],
                    _path(environ),
                    int(status[:3]),
                    _joined(headers),
                    **event_facts(),
                )
                hook(event=event)
                headers = _changed(headers, event.headers)
        return start_response(status, headers, *exc_info)

    @contextmanager
    def _about(self, environ: WSGIEnvironment) -> Iterator[None]:
        """Have hooks be called on account of a request while the block runs."""
        with (
            entered(environ),
            self._host.bound(),
            caused_by(actor=actor_of(environ), origin="http", request_id=request_id()),
        ):
            yield


def _is_heard(pm: pluggy.PluginManager) -> bool:
    hooks = (pm.hook.tinybase_before_request, pm.hook.tinybase_after_request)
    return any(hook.get_hookimpls() for hook in hooks)


def _path(environ: WSGIEnvironment) -> str:
    """Return the path; WSGI has its bytes as characters."""
    return str(environ.get("PATH_INFO", "")).encode("latin-1").decode("utf-8", "replace")


def _request_headers(environ: WSGIEnvironment) -> Iterator[tuple[str, str]]:
    for name, value in environ.items():
        if name.startswith("HTTP_"):
            yield name[5:].replace("_", "-").lower(), value
        elif name in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
            yield name.replace("_", "-").lower(), value


def _joined(headers: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return headers as a mapping; what is there several times is one list."""
    joined: dict[str, str] = {}
    for name, value in headers:
        joined[name] = f"{joined[name]}, {value}" if name in joined else value
    return joined


def _changed(headers: _Headers, wanted: dict[str, str]) -> _Headers:
    """Return headers as somebody wants them; names do not differ by capitals."""
    before = {name.lower(): value for name, value in _joined(headers).items()}
    after: dict[str, tuple[str, str]] = {}
    for name, value in wanted.items():
        known = after.get(name.lower())
        if known is None or value != before.get(name.lower()):
            after[name.lower()] = (name, value)

    def is_kept(name: str) -> bool:
        return name in _OF_THE_BODY or (name in after and after[name][1] == before[name])

    kept = [(name, value) for name, value in headers if is_kept(name.lower())]
    return kept + [
        item
        for name, item in after.items()
        if name not in _OF_THE_BODY and before.get(name) != item[1]
    ]
