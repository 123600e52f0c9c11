"""From the notes of decorators and raw hookimpls to the one object that pluggy gets."""

from __future__ import annotations

import difflib
import fnmatch
import inspect
import itertools
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from types import ModuleType
from typing import Any

import pluggy

import tinybase_hookspecs
from tinybase.extensions.rows import Declaration, Handler, claim, describe
from tinybase.extensions.signatures import is_async
from tinybase.host.guard import Guard, Surroundings, guard_function, guard_wrapper
from tinybase.host.kinds import COLLECTING, HOOKS
from tinybase.host.stats import HandlerStats
from tinybase_hookspecs import hookimpl

_STATS = "tinybase_stats"  # the attribute of an implementation in which we find its counters
_WANTS = "tinybase_wants"  # the one with the field of events that it filters by, and the test
_MARK = "tinybase_impl"  # the attribute in which pluggy's marker of our project keeps its options


class LoadError(Exception):
    """An extension cannot be loaded; the message says why and what to do."""


class ExtensionPlugin:
    """What pluggy registers: one object for each extension, one attribute for each handler.

    pluggy takes the attributes by name and calls the last one first, so they are numbered
    downwards and handlers run in the order in which they were written. Those that want to
    be last it puts in front of one another, so they are numbered upwards.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.handlers: list[HandlerStats] = []
        self._down = itertools.count(10**6, -1)
        self._up = itertools.count()

    def add(
        self, function: Callable[..., Any], stats: HandlerStats | None = None, **options: Any
    ) -> None:
        """Add an implementation; ``options`` are those of ``hookimpl``."""
        if stats is not None:
            self.handlers.append(stats)
            vars(function)[_STATS] = stats
        number = next(self._up if options.get("trylast") else self._down)
        setattr(self, f"implementation_{number:07}", hookimpl(**options)(function))


def make_plugin(
    name: str, package: str, around: Surroundings, provided: object = None
) -> ExtensionPlugin:
    """Make the plugin object of an extension whose package has been imported.

    :param provided: the object that the entry point names, if it names no module.
    :raises LoadError: for an implementation of a hook that does not exist.
    """
    plugin = ExtensionPlugin(name)
    rows = claim(package)
    for row in rows:
        if isinstance(row, Handler):
            _add_handler(plugin, row, around)
    for hook, values in _by_hook(row for row in rows if isinstance(row, Declaration)).items():
        plugin.add(_returning(values), specname=hook)
    for function, options in _raw_implementations(package, provided):
        _add_raw(plugin, function, options, around)
    return plugin


def call_order(manager: pluggy.PluginManager) -> list[HandlerStats]:
    """Return all handlers, hook by hook, in the order in which pluggy calls them."""
    handlers = []
    for hook in sorted(HOOKS):
        for implementation in reversed(getattr(manager.hook, hook).get_hookimpls()):
            stats = getattr(implementation.function, _STATS, None)
            if stats is not None:
                handlers.append(stats)
    return handlers


def _add_handler(plugin: ExtensionPlugin, row: Handler, around: Surroundings) -> None:
    stats = HandlerStats(
        plugin.name,
        row.hook,
        row.name,
        decorator=row.decorator,
        filters={field: list(patterns) for field, patterns in row.filters.items()},
        is_async=is_async(row.function),
    )
    plugin.add(
        _implementation(row, Guard(stats, around)),
        stats,
        specname=row.hook,
        tryfirst=row.order.tryfirst,
        trylast=row.order.trylast,
    )


def _implementation(row: Handler, guard: Guard) -> Callable[..., Any]:
    """Return the hookimpl of a decorated handler; its parameters are the hookspec's."""
    handler = row.arguments.bind(row.function)

    def call(event: Any) -> Any:
        if row.arguments.wants_context:
            return guard.with_context(lambda ctx: handler(event, ctx))
        return handler(event, None)

    if not inspect.signature(getattr(tinybase_hookspecs, row.hook)).parameters:
        return lambda: guard.call(lambda: call(None))
    if not row.filters:
        return lambda event: guard.call_with(event, call)
    ((field, patterns),) = row.filters.items()
    wants = _test_of(patterns)

    def implementation(event: Any) -> Any:
        if wants(getattr(event, field)):
            return guard.call_with(event, call)
        return None

    vars(implementation)[_WANTS] = (field, wants)
    return implementation


def is_heard(hook: pluggy.HookCaller, field: str, value: str) -> bool:
    """Say whether some handler of a hook is called for events with this value of a field."""
    for each in hook.get_hookimpls():
        by, wants = getattr(each.function, _WANTS, (None, None))
        if wants is None or by != field or wants(value):
            return True
    return False


def _test_of(patterns: Iterable[str]) -> Callable[[str], bool]:
    """Return a test of a value against the patterns of a handler."""
    exact = frozenset(pattern for pattern in patterns if not re.search(r"[*?\[]", pattern))
    globs = [re.compile(fnmatch.translate(p)).match for p in patterns if p not in exact]
    return lambda value: value in exact or any(match(value) for match in globs)


def _by_hook(declarations: Iterable[Declaration]) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {}
    for declaration in declarations:
        values.setdefault(declaration.hook, []).append(declaration.value)
    return values


def _returning(values: list[Any]) -> Callable[[], list[Any]]:
    return lambda: list(values)


def _add_raw(
    plugin: ExtensionPlugin,
    function: Callable[..., Any],
    options: dict[str, Any],
    around: Surroundings,
) -> None:
    hook = options["specname"]
    if hook not in HOOKS:
        if options.get("optionalhook"):
            return
        near = difflib.get_close_matches(hook, HOOKS, n=1)
        hint = f"did you mean {near[0]}?" if near else "see the reference of hooks."
        raise LoadError(f"{describe(function)} implements an unknown hook {hook}; {hint}")
    if hook in COLLECTING:
        plugin.add(function, **options)
        return
    stats = HandlerStats(
        plugin.name,
        hook,
        f"{function.__module__}:{describe(function)}",
        is_async=is_async(function),
    )
    guard = Guard(stats, around)
    if options.get("wrapper") or options.get("hookwrapper"):
        old_style = bool(options.get("hookwrapper"))
        plugin.add(guard_wrapper(function, guard, old_style=old_style), stats, **options)
    else:
        plugin.add(guard_function(function, guard), stats, **options)


def _raw_implementations(
    package: str, provided: object
) -> Iterator[tuple[Callable[..., Any], dict[str, Any]]]:
    """Yield every hookimpl of a package once, however often it is imported around."""
    seen: set[int] = set()
    sources: list[object] = [*_modules(package)]
    if provided is not None and not isinstance(provided, ModuleType):
        sources.append(provided)
    for source in sources:
        for name, function in inspect.getmembers(source, inspect.isroutine):
            options = getattr(function, _MARK, None)
            if not isinstance(options, dict) or not _is_of(function, package, source):
                continue
            identity = id(getattr(function, "__func__", function))
            if identity in seen:
                continue
            seen.add(identity)
            yield function, {**options, "specname": options.get("specname") or name}


def _modules(package: str) -> list[ModuleType]:
    return [
        module
        for name, module in list(sys.modules.items())
        if (name == package or name.startswith(package + ".")) and isinstance(module, ModuleType)
    ]


def _is_of(function: Callable[..., Any], package: str, source: object) -> bool:
    """Say whether a function belongs to the package, not to one it imports from."""
    if not isinstance(source, ModuleType):
        return True
    module = function.__module__ or ""
    return module == package or module.startswith(package + ".")
