"""The short way in: operations answered without Flask's machinery around them.

Of what Flask does for a request – two contexts, a session, signals, functions before and
after, the search for a route – the operations need nothing: what is done for every
request is in the endpoint. So they are found in a tree of their own and called at once. What is
not found there goes through Flask, as does everything as soon as somebody has given the
application more to do than we have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flask import Flask, request_finished, request_started

from tinybase.api.cors import Cors
from tinybase.api.dispatch import Endpoint
from tinybase.api.headers import check_head, complete, enter, leave
from tinybase.api.reply import Reply
from tinybase.lane import Lane

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


_LONGEST_WAIT_SECONDS = 0.01


class _Node:
    """One place in the tree of addresses, and what is asked for below it."""

    def __init__(self) -> None:
        self.fixed: dict[str, _Node] = {}
        self.free: _Node | None = None
        self.parameters: tuple[str, ...] = ()
        self.endpoints: dict[str, Endpoint] = {}


class DirectEntry:
    """A WSGI application that stands in front of Flask's.

    To be made when the application is complete.

    :param endpoints: what is answered directly, with the address of each.
    :param answer_error: answers what goes wrong.
    :param one_by_one: let readers wait for one another, which is quicker where they wait for
        nothing but this process.
    """

    def __init__(
        self,
        app: Flask,
        endpoints: Iterable[tuple[str, Endpoint]],
        cors: Cors,
        answer_error: Callable[[Exception], Reply],
        *,
        one_by_one: bool,
    ) -> None:
        self._app = app
        self._cors = cors
        self._answer_error = answer_error
        self._flask: WSGIApplication = app.wsgi_app
        self._tree = _Node()
        self._lane = Lane(_LONGEST_WAIT_SECONDS)
        self._in_lane = ("GET",) if one_by_one else ()
        for path, endpoint in endpoints:
            self._add(path, endpoint)
        self._ours = self._extras()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request, or have Flask answer it."""
        found = self._find(environ["REQUEST_METHOD"], environ.get("PATH_INFO", ""))
        if found is None or self._extras() != self._ours:
            return self._flask(environ, start_response)
        # Readers let go of Python's lock for every statement; of several threads another one
        # takes it then for up to 5 ms. One after another they are answered sooner, and nobody
        # waits for long behind a slow one.
        has_lane = environ["REQUEST_METHOD"] in self._in_lane and self._lane.enter()
        token = enter(environ)
        try:
            reply = self._answer(*found, environ)
            self._cors(environ, reply.headers)
            complete(environ, reply.headers)
        finally:
            leave(token)
            if has_lane:
                self._lane.leave()
        return reply.send(start_response)

    def _add(self, path: str, endpoint: Endpoint) -> None:
        node, parameters = self._tree, []
        for part in path.split("/")[1:]:
            if part.startswith("<"):
                parameters.append(part.strip("<>").rpartition(":")[2])
                node.free = node.free or _Node()
                node = node.free
            else:
                node = node.fixed.setdefault(part, _Node())
        node.parameters = tuple(parameters)
        node.endpoints[endpoint.operation.method] = endpoint

    def _find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        # What is not ASCII has yet to be decoded, which is Werkzeug's business.
        if not path.isascii():
            return None
        node, values = self._tree, []
        for part in path.split("/")[1:]:
            below = node.fixed.get(part)
            if below is None:
                if node.free is None or not part:
                    return None
                below = node.free
                values.append(part)
            node = below
        endpoint = node.endpoints.get(method)
        if endpoint is None:
            return None
        return endpoint, dict(zip(node.parameters, values, strict=True))

    def _extras(self) -> tuple[object, ...]:
        """Return how much there is that Flask would do beside calling the view."""
        app = self._app
        return (
            len(app.before_request_funcs.get(None, ())),
            len(app.after_request_funcs.get(None, ())),
            len(app.teardown_request_funcs),
            len(app.teardown_appcontext_funcs),
            len(app.url_value_preprocessors),
            bool(request_started.receivers or request_finished.receivers),
        )

    def _answer(self, endpoint: Endpoint, path: dict[str, str], environ: WSGIEnvironment) -> Reply:
        try:
            check_head(environ)
            return endpoint.answer(environ, path)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets an answer
            return self._answer_error(error)
