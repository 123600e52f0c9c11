"""From blueprints to sites: what of them is served, and what is refused with a remedy."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from flask import Blueprint
from flask.typing import ResponseReturnValue
from packaging.utils import canonicalize_name
from sqlalchemy import Engine
from werkzeug.routing import Rule

from tinybase.db.session import share_engine
from tinybase.extensions.routes import LEVEL, check_options
from tinybase.extensions.rows import describe
from tinybase.extensions.signatures import HandlerError
from tinybase.host.contributions import Contribution
from tinybase.host.project import FUNCTIONS_PREFIX
from tinybase.host.snapshot import PROJECT, Snapshot
from tinybase.web.site import PARAMETER, Route, RunAsync, Site, View
from tinybase_hookspecs import BlueprintDeclaration

HOOK: Final = "tinybase_register_blueprints"

_AUTOMATIC = frozenset({"HEAD", "OPTIONS"})

_BEYOND: Final[Mapping[str, tuple[str, str]]] = {
    "before_request_funcs": ("before_app_request", "before_request"),
    "after_request_funcs": ("after_app_request", "after_request"),
    "teardown_request_funcs": ("teardown_app_request", "teardown_request"),
    "error_handler_spec": ("app_errorhandler", "errorhandler"),
    "url_value_preprocessors": ("app_url_value_preprocessor", "url_value_preprocessor"),
    "url_default_functions": ("app_url_defaults", "url_defaults"),
}
"""Where Flask keeps what a blueprint asks of all routes; its decorator, and the one to use."""

_FOR_ALL: Final = frozenset({"before_request_funcs", "after_request_funcs"})
"""Those for which TinyBase has a decorator that is really about all requests."""


class Mounts:
    """The sites of the snapshot in force.

    :param around_view: as for :class:`Site`.
    :param answer_error: answers what a view, or whatever is around it, raises.
    :param runs_async: returns for an extension what returns the result of a coroutine of it.
    :param engine: of the database, for views that use ``db``.
    """

    def __init__(
        self,
        around_view: Callable[[View], ResponseReturnValue],
        answer_error: Callable[[Exception], ResponseReturnValue],
        runs_async: Callable[[str], RunAsync],
        engine: Engine,
    ) -> None:
        self._around_view = around_view
        self._answer_error = answer_error
        self._runs_async = runs_async
        self._engine = engine
        self._known: tuple[Snapshot, dict[str, Site]] | None = None

    def of(self, snapshot: Snapshot) -> Mapping[str, Site]:
        """Return the sites of a snapshot, by the name in their address."""
        known = self._known
        if known is None or known[0] is not snapshot:
            self._known = known = (snapshot, dict(self._build(snapshot)))
        return known[1]

    def _build(self, snapshot: Snapshot) -> Iterator[tuple[str, Site]]:
        by_name: dict[str, list[Contribution]] = {}
        for contribution in snapshot.contributions.of(HOOK):
            by_name.setdefault(site_name(contribution[0]), []).append(contribution)
        for name, contributions in by_name.items():
            extension = contributions[0][0].partition(":")[0]
            site = Site(name, self._around_view, self._runs_async(extension))
            share_engine(site, self._engine)
            _fill(site, name, contributions)
            site.register_error_handler(Exception, self._answer_error)
            yield name, site


def check_blueprint(owner: str, declaration: Any, taken: Sequence[Contribution]) -> list[str]:
    """Return the addresses of a blueprint, mounted beside those under the same name.

    :raises HandlerError: when it cannot be, with what is wrong and the remedy.
    """
    name = site_name(owner)
    beside = [item for item in taken if site_name(item[0]) == name]
    trial = Site(name, lambda view: view(), lambda _: None)
    _fill(trial, name, [*beside, (owner, declaration)])
    routes = trial.routes.values()
    return list(dict.fromkeys(r.path for r in routes if r.declaration is declaration))


def site_name(owner: str) -> str:
    """Return the name in the address of an owner's routes.

    An extension's is its own. A module of the operator's is served as the extension that it
    may become: under the name of its package, or of its file in the ``functions`` folder.
    """
    kind, _, module = owner.partition(":")
    if kind != PROJECT or not module:
        return str(canonicalize_name(owner))
    if module.startswith(FUNCTIONS_PREFIX):
        return str(canonicalize_name(module.rpartition(".")[2]))
    return str(canonicalize_name(module.partition(".")[0]))


def _fill(site: Site, name: str, contributions: Sequence[Contribution]) -> None:
    """Register blueprints with a site and write its routes down."""
    seen: dict[tuple[str, str], Route] = {}
    known: set[int] = set()
    for owner, declaration in contributions:
        check_options(declaration)
        _register(site, declaration.blueprint)
        rules = [rule for rule in site.url_map.iter_rules() if id(rule) not in known]
        known.update(map(id, rules))
        for route in (r for rule in rules for r in _routes(site, name, rule, owner, declaration)):
            pattern = PARAMETER.sub(r"<\1>", route.rule.rule).rstrip("/")
            other = seen.setdefault((route.method, pattern), route)
            if other is not route:
                raise HandlerError(
                    f"{route.method} {route.rule.rule} is there twice, in {other.handler} and in "
                    f"{route.handler}. Give one of them another path."
                )
            site.add(route)
    _refuse_what_reaches_beyond(site)
    _refuse_served_code(site)


def _register(site: Site, blueprint: object) -> None:
    if not isinstance(blueprint, Blueprint):
        raise HandlerError(
            f"the blueprint is a flask.Blueprint, not a {type(blueprint).__name__}. "
            'Write register_blueprint(Blueprint("orders", __name__)).'
        )
    if blueprint.name in site.blueprints:
        raise HandlerError(
            f"there are two blueprints called {blueprint.name!r}. Give one of them another name."
        )
    try:
        site.register_blueprint(blueprint)
    except Exception as error:
        raise HandlerError(
            f"the blueprint {blueprint.name!r} cannot be mounted: {type(error).__name__}: {error}"
        ) from error


def _routes(
    site: Site, name: str, rule: Rule, owner: str, declaration: BlueprintDeclaration
) -> Iterator[Route]:
    """Yield a route for each method of a rule."""
    if rule.websocket or rule.host or rule.subdomain:
        raise HandlerError(
            f"{rule.rule} is for a websocket, or for another host than the server's. "
            "Make it a plain route."
        )
    view = site.view_functions[rule.endpoint]
    methods = set(rule.methods or ()) - {"HEAD"}
    if getattr(rule, "provide_automatic_options", False):
        methods -= {"OPTIONS"}
    summary, _, description = (inspect.getdoc(_written(view)) or "").partition("\n")
    path = PARAMETER.sub(r"{\2}", rule.rule).rstrip("/")
    for method in sorted(methods):
        yield Route(
            owner=owner,
            method=method,
            path=f"/api/ext/{name}{path}",
            rule=rule,
            level=_level(view, method) or declaration.auth,
            handler=_handler(view, rule),
            summary=summary,
            description=description.strip(),
            declaration=declaration,
            wants_context=_wants_context(view) and "ctx" not in rule.arguments,
        )


def _level(view: Callable[..., Any], method: str) -> str | None:
    """Return the level that a view, or its method of a ``MethodView``, has of its own."""
    if _is_static(view):
        # What a page loads is asked for without a token: browsers have none to send.
        return "public"
    cls = getattr(view, "view_class", None)
    for labelled in (getattr(cls, method.lower(), None), view, cls):
        level: str | None = getattr(labelled, LEVEL, None)
        if level is not None:
            return level
    return None


def _is_static(view: Callable[..., Any]) -> bool:
    """Say whether a view is that of a blueprint's static folder."""
    return isinstance(getattr(view, "__self__", None), Blueprint)


def _handler(view: Callable[..., Any], rule: Rule) -> str:
    """Return the name of a view, as logs and lists show it."""
    if _is_static(view):
        return f"{view.__self__.import_name}:{rule.endpoint}"  # type: ignore[attr-defined]
    shown = _written(view)
    return f"{getattr(shown, '__module__', None) or ''}:{describe(shown)}"


def _written(view: Callable[..., Any]) -> Any:
    return getattr(view, "view_class", view)


def _wants_context(view: Callable[..., Any]) -> bool:
    try:
        return "ctx" in inspect.signature(view).parameters
    except ValueError:  # some callables written in C do not tell
        return False


def _refuse_what_reaches_beyond(site: Site) -> None:
    """Refuse what an author means for all of the server's requests: it would not be called."""
    for kept, (theirs, ours) in _BEYOND.items():
        found = getattr(site, kept).get(None)
        if any(found.values()) if isinstance(found, dict) else found:
            remedy = f"Use {ours}, which is about the blueprint's own"
            if kept in _FOR_ALL:
                remedy += f", or @{ours} of tinybase.extensions, which is about all requests"
            raise HandlerError(f"{theirs} of a blueprint reaches beyond its routes. {remedy}.")


def _refuse_served_code(site: Site) -> None:
    for blueprint in site.blueprints.values():
        folder = blueprint.static_folder
        if folder is not None and any(Path(folder).rglob("*.py")):
            raise HandlerError(
                f"the static folder {Path(folder).name!r} of the blueprint {blueprint.name!r} has "
                "Python files in it, which would be served. Put what is to be served into a "
                "folder of its own."
            )
