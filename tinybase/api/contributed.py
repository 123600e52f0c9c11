"""The addresses that belong to extensions: everything under ``/api/ext/NAME/``.

What is done for every request is done here, as for the API's own: who is calling, limits,
request ids, errors. Then the extension's view is called, with a guard around it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack
from functools import partial
from typing import Any

from flask import Flask, Response, request
from flask.typing import ResponseReturnValue
from packaging.utils import canonicalize_name
from werkzeug.exceptions import HTTPException

from tinybase.actors import Actor, ActorKind
from tinybase.api.addresses import AddressReader
from tinybase.api.admission import admit
from tinybase.api.body import bounded, refuse_declared_size
from tinybase.api.dispatch import plain
from tinybase.api.errors import render, render_aborted
from tinybase.api.headers import note_actor, note_route, request_id
from tinybase.api.operation import Call, Operation, Who
from tinybase.api.services import Services
from tinybase.api.throttle import identify
from tinybase.api.visitors import Visitors, most_requests
from tinybase.api.visits import Visit, current_visit, visiting
from tinybase.errors import NotFound, Rejected, TinyBaseError, Unavailable
from tinybase.functions.context import Context
from tinybase.host import Host, caused_by
from tinybase.host.snapshot import Snapshot
from tinybase.web import HOOK, Mounts, Route, Site, View, no_content
from tinybase_hookspecs import Reject

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")

PAGE_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""What a page of an extension may load, unless its view says otherwise."""


def register_contributed(app: Flask, services: Services, mounts: Mounts) -> None:
    """Answer for extensions, or say why one does not."""
    answer = Contributed(services, mounts)
    for rule in ("/api/ext/<extension_name>", "/api/ext/<extension_name>/<path:path>"):
        app.add_url_rule(
            rule,
            endpoint=f"contributed {rule}",
            view_func=answer,
            methods=_METHODS,
            provide_automatic_options=False,
        )


def make_mounts(services: Services) -> Mounts:
    """Return the sites of the snapshots of an application."""
    around, engine = services.host.around, services.database.engine
    return Mounts(_call_view, _answer_error, lambda owner: around.loop_of(owner).run, engine)


def routes_now(host: Host, mounts: Mounts) -> list[Route]:
    """Return the routes of all extensions that the present request can reach."""
    sites = mounts.of(host.snapshot).values()
    return [route for site in sites for route in site.routes.values()]


class Contributed:
    """Answers requests by the views of extensions."""

    def __init__(self, services: Services, mounts: Mounts) -> None:
        self._services = services
        self._mounts = mounts
        self._address_of = AddressReader(services.config.server.trusted_proxies)
        self._visitors = Visitors(most_requests(services.config))

    def __call__(self, extension_name: str, path: str = "") -> Response:
        """Answer Flask's current request."""
        host = self._services.host
        request_id()  # now, so that the environments of the request share one
        with host.bound():
            snapshot = host.snapshot
            site = self._site(snapshot, extension_name, path)
            environ = _below(request.environ, extension_name, path)
            route = site.find(environ)
            if route is None:
                return no_content(site.methods_at(environ))
            note_route(request.environ, route.path)
            self._limit_body(route, environ)
            actor = self._identify(route)
            note_actor(request.environ, actor)
            owner = route.extension
            with caused_by(
                actor=actor, origin="extension", request_id=request_id(), extension=owner
            ):
                return self._visit(snapshot, site, route, environ, actor)

    def _site(self, snapshot: Snapshot, given: str, path: str) -> Site:
        name = canonicalize_name(given)
        site = self._mounts.of(snapshot).get(name)
        if site is not None:
            return site
        state = snapshot.states.get(name)
        if state is None or state.status in ("enabled", "missing"):
            raise NotFound(f"There is nothing at /api/ext/{given}/{path}.")
        raise Unavailable(
            f"The extension {name} is {state.status}.",
            code="extension_unavailable",
            extension=name,
        )

    def _limit_body(self, route: Route, environ: dict[str, Any]) -> None:
        own = route.declaration.body_bytes
        largest = self._services.config.limits.body_bytes if own is None else own
        refuse_declared_size(request.environ, largest)
        environ["wsgi.input"] = bounded(environ["wsgi.input"], largest)

    def _identify(self, route: Route) -> Actor:
        """Return who is calling, if the route admits them."""
        environ = request.environ
        call = Call(
            services=self._services,
            environ=environ,
            request_id=request_id(),
            address=self._address_of(environ),
            path={},
        )
        actor = identify(call, _ANY_ROUTE)
        if route.level == "public":
            return actor
        is_token = actor.kind is ActorKind.APPLICATION
        level = Who.ADMIN if route.level == "admin" or is_token else Who.USER
        return admit(actor, level, call.method)

    def _visit(
        self, snapshot: Snapshot, site: Site, route: Route, environ: dict[str, Any], actor: Actor
    ) -> Response:
        host = self._services.host
        stats = snapshot.loaded[route.owner].plugin.counter(HOOK, route.handler)
        open_context = partial(self._open_context, route, actor)
        visit = Visit(route, stats, host.around, open_context)
        with ExitStack() as ending:
            ending.callback(self._visitors.enter(route.owner, stats))
            started = time.perf_counter_ns()
            try:
                response = _answer(site, visit, environ)
            finally:
                stats.count_call(time.perf_counter_ns() - started)
            if _goes_on(response):
                # It is still at work when we have returned, and nobody shuts it down meanwhile.
                ending.callback(host.share())
                response.call_on_close(ending.pop_all().close)
                response.response = _guarded(response.response, visit)
        if response.mimetype == "text/html":
            response.headers.setdefault("Content-Security-Policy", PAGE_POLICY)
        return response

    def _open_context(self, route: Route, actor: Actor) -> AbstractContextManager[Context]:
        return self._services.contexts.open(
            function_name=route.handler,
            actor=actor,
            trigger_type="route",
            request=plain(request),
            log=logging.getLogger(route.module),
        )


def _never(_: Call) -> object:
    raise NotImplementedError("it only says how the callers of routes are counted and known")


_ANY_ROUTE = Operation("extensions", "GET", "/api/ext", "extensions_route", Who.OPEN, _never)


def _below(environ: dict[str, Any], extension_name: str, path: str) -> dict[str, Any]:
    """Return the environment of a request as an application below the name sees it."""
    script = f"{environ.get('SCRIPT_NAME', '')}/api/ext/{extension_name}"
    raw = environ["PATH_INFO"]
    # The rest of the path as it arrived: WSGI has it in an encoding of its own.
    rest = raw.split("/", 4)[4] if path else ""
    return {**environ, "SCRIPT_NAME": script, "PATH_INFO": f"/{rest}"}


def _answer(site: Site, visit: Visit, environ: dict[str, Any]) -> Response:
    try:
        with visit.recorded(), visiting(visit), site.request_context(environ):
            return site.full_dispatch_request()
    except BaseException as error:  # what raises SystemExit is at fault, too
        if (
            isinstance(error, KeyboardInterrupt)
            and threading.current_thread() is threading.main_thread()
        ):
            raise
        return _render(visit, error)


def _call_view(view: View) -> ResponseReturnValue:
    """Call a view, and commit what it wrote with its context if it returns."""
    visit = current_visit()
    if visit.route.wants_context:
        request.view_args = {**(request.view_args or {}), "ctx": visit.context()}
    try:
        result = view()
    except BaseException as error:
        visit.end(error)
        raise
    visit.end()
    return result


def _answer_error(error: Exception) -> ResponseReturnValue:
    """Answer what the error handlers of the blueprint have left to us."""
    visit = current_visit()
    visit.end(error)
    return _render(visit, error)


def _render(visit: Visit, error: BaseException) -> Response:
    extension = visit.route.extension
    if isinstance(error, Reject):
        error = Rejected(error.detail, status=error.status, code=error.code, extension=extension)
    if isinstance(error, TinyBaseError):
        if error.status == 500:
            visit.report(error)
        return render(error).as_response()
    if isinstance(error, HTTPException):
        if error.response is not None or (error.code or 500) < 400:
            return Response.force_type(error.get_response())  # type: ignore[return-value]
        return render_aborted(error, extension).as_response()
    visit.failed(error)
    failure = TinyBaseError(
        f"The extension {extension} failed to answer.", code="extension_error", extension=extension
    )
    return render(failure).as_response()


def _goes_on(response: Response) -> bool:
    """Say whether the view is still at work while its answer is sent."""
    is_sent = request.method != "HEAD"
    return is_sent and response.is_streamed and not response.direct_passthrough


def _guarded(stream: Iterable[Any], visit: Visit) -> Iterator[Any]:
    """Pass on what a view streams; a failure of it is the extension's."""
    chunks = iter(stream)
    try:
        while True:
            try:
                with visit.recorded():
                    chunk = next(chunks)
            except StopIteration:
                return
            except BaseException as error:
                visit.failed(error)
                raise
            yield chunk
    finally:
        close = getattr(stream, "close", None)
        if close is not None:
            close()
