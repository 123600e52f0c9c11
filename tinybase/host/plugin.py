"""From the notes of decorators and raw hookimpls to the implementations that pluggy gets."""

from __future__ import annotations

import difflib
import fnmatch
import inspect
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import pluggy

import tinybase_hookspecs
from tinybase.extensions.rows import Declaration, Handler, Order, claim, describe
from tinybase.extensions.signatures import is_async
from tinybase.host.guard import Guard, Surroundings, guard_function
from tinybase.host.kinds import COLLECTING, HOOKS
from tinybase.host.stats import HandlerStats
from tinybase.host.wrapping import guard_wrapper
from tinybase_hookspecs import hookimpl

_WANTS = "tinybase_wants"  # the one with the field of events that it filters by, and the test
_FIELDS = "tinybase_fields"  # the one with the names of what it may change of the data
_MARK = "tinybase_impl"  # the attribute in which pluggy's marker of our project keeps its options


class LoadError(Exception):
    """An extension cannot be loaded; the message says why and what to do."""


@dataclass(frozen=True, eq=False)
class Implementation:
    """One implementation of a hook, with the guard around it.

    ``label`` is its name for pluggy, and ``options`` are those of ``hookimpl`` that are not
    about the order. Without a function it stands for an extension that does nothing there.
    """

    extension: str
    hook: str
    function: Callable[..., Any] | None = None
    label: str = ""
    order: Order = field(default_factory=Order)
    options: Mapping[str, Any] = field(default_factory=dict)
    stats: HandlerStats | None = None

    @property
    def is_wrapper(self) -> bool:
        """Say whether it runs around all others."""
        return bool(self.options.get("wrapper") or self.options.get("hookwrapper"))


class ExtensionPlugin:
    """What an extension implements, in the order in which it is written.

    :param label: begins the names that pluggy knows the implementations by.
    """

    def __init__(self, name: str, label: str = "") -> None:
        self.name = name
        self.implementations: list[Implementation] = []
        self._label = label or name
        self._counters: dict[tuple[str, str], HandlerStats] = {}

    @property
    def handlers(self) -> list[HandlerStats]:
        """Return all handlers, which is everything that is not only there to be collected."""
        return [item.stats for item in self.implementations if item.stats is not None]

    @property
    def counters(self) -> list[HandlerStats]:
        """Return the counters of what is called without being a handler, such as a view."""
        return list(self._counters.values())

    def counter(self, hook: str, name: str) -> HandlerStats:
        """Return the counters of something that was contributed, which stay with the plugin."""
        known = self._counters.get((hook, name))
        return known or self._counters.setdefault((hook, name), HandlerStats(self.name, hook, name))

    def add(
        self,
        hook: str,
        function: Callable[..., Any],
        stats: HandlerStats | None = None,
        order: Order | None = None,
        **options: Any,
    ) -> None:
        """Add an implementation; ``options`` are those of ``hookimpl``."""
        label = f"{self._label}:{len(self.implementations):04}"
        self.implementations.append(
            Implementation(self.name, hook, function, label, order or Order(), options, stats)
        )


class _Registered:
    """What pluggy registers: one object for each implementation.

    So those of several extensions can stand between one another.
    """

    def __init__(self, item: Implementation) -> None:
        marked = hookimpl(specname=item.hook, **item.options)
        self.implementation = marked(item.function)

    def __dir__(self) -> list[str]:
        return ["implementation"]  # all that pluggy has to look at


def register(manager: pluggy.PluginManager, items: Sequence[Implementation]) -> None:
    """Register implementations so that they are called in this order."""
    for item in reversed(items):
        manager.register(_Registered(item), item.label)


def make_plugin(
    name: str, package: str, around: Surroundings, provided: object = None, label: str = ""
) -> ExtensionPlugin:
    """Make the plugin object of an extension whose package has been imported.

    :param provided: the object that the entry point names, if it names no module.
    :param label: see :class:`ExtensionPlugin`.
    :raises LoadError: for an implementation of a hook that does not exist.
    """
    plugin = ExtensionPlugin(name, label)
    around.renew_shares(name)
    rows = claim(package)
    for row in rows:
        if isinstance(row, Handler):
            _add_handler(plugin, row, around)
    for hook, values in _by_hook(row for row in rows if isinstance(row, Declaration)).items():
        plugin.add(hook, _returning(values))
    for function, options in _raw_implementations(package, provided):
        _add_raw(plugin, function, options, around)
    return plugin


def _add_handler(plugin: ExtensionPlugin, row: Handler, around: Surroundings) -> None:
    stats = HandlerStats(
        plugin.name,
        row.hook,
        row.name,
        decorator=row.decorator,
        filters={field: list(patterns) for field, patterns in row.filters.items()},
        fields=row.fields,
        is_async=is_async(row.function),
    )
    plugin.add(row.hook, _implementation(row, Guard(stats, around)), stats, row.order)


def _implementation(row: Handler, guard: Guard) -> Callable[..., Any]:
    """Return the hookimpl of a decorated handler; its parameters are the hookspec's."""
    handler = row.arguments.bind(row.function)

    def call(event: Any) -> Any:
        if row.arguments.wants_context:
            return guard.with_context(lambda ctx: handler(event, ctx))
        return handler(event, None)

    if not inspect.signature(getattr(tinybase_hookspecs, row.hook)).parameters:
        return lambda: guard.call(lambda: call(None))
    implementation = _filtered(row, lambda event: guard.call_with(event, call))
    vars(implementation)[_FIELDS] = row.fields
    return implementation


def _filtered(row: Handler, function: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that is called for those events only that a handler wants."""
    if not row.filters:
        return function
    ((field, patterns),) = row.filters.items()
    wants = _test_of(patterns)

    def implementation(event: Any) -> Any:
        return function(event) if wants(getattr(event, field)) else None

    vars(implementation)[_WANTS] = (field, wants)
    return implementation


def is_heard(hook: pluggy.HookCaller, field: str, value: str) -> bool:
    """Say whether some handler of a hook is called for events with this value of a field."""
    return any(True for _ in _heard(hook, field, value))


def declared_fields(hook: pluggy.HookCaller, field: str, value: str) -> frozenset[str] | None:
    """Return the fields that those handlers say they may change; ``None`` is any."""
    names = set[str]()
    for each in _heard(hook, field, value):
        declared: tuple[str, ...] | None = getattr(each, _FIELDS, None)
        if declared is None:
            return None
        names.update(declared)
    return frozenset(names)


def _heard(hook: pluggy.HookCaller, field: str, value: str) -> Iterator[Callable[..., Any]]:
    for each in hook.get_hookimpls():
        by, wants = getattr(each.function, _WANTS, (None, None))
        if wants is None or by != field or wants(value):
            yield each.function


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
    hook = options.pop("specname")
    tryfirst, trylast = (bool(options.pop(end, False)) for end in ("tryfirst", "trylast"))
    order = Order(tryfirst=tryfirst, trylast=trylast)
    if hook not in HOOKS:
        if options.get("optionalhook"):
            return
        near = difflib.get_close_matches(hook, HOOKS, n=1)
        hint = f"did you mean {near[0]}?" if near else "see the reference of hooks."
        raise LoadError(f"{describe(function)} implements an unknown hook {hook}; {hint}")
    if hook in COLLECTING:
        plugin.add(hook, function, None, order, **options)
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
        plugin.add(
            hook, guard_wrapper(function, guard, old_style=old_style), stats, order, **options
        )
    else:
        plugin.add(hook, guard_function(function, guard), stats, order, **options)


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
    # Looked at by name: a worker that touches every module has copied what it shared of it.
    names = [name for name in list(sys.modules) if f"{name}.".startswith(f"{package}.")]
    return [module for name in names if isinstance(module := sys.modules.get(name), ModuleType)]


def _is_of(function: Callable[..., Any], package: str, source: object) -> bool:
    """Say whether a function belongs to the package, not to one it imports from."""
    if not isinstance(source, ModuleType):
        return True
    module = function.__module__ or ""
    return module == package or module.startswith(package + ".")
