"""Finding what a module gives to TinyBase: hooks, functions, routes, commands and the like."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from typing import Final

from tinybase.host.kinds import COLLECTING, HOOKS
from tinybase.packages.inspection import own
from tinybase.packages.inspection.constants import COLLECTIONS, Constants
from tinybase.packages.inspection.findings import (
    Command,
    Filters,
    Implementation,
    Offer,
    OwnCollection,
    OwnSetting,
    Route,
    Variable,
)
from tinybase.packages.inspection.names import Module, Scope

_Finding = Implementation | Offer | Route | Command | OwnCollection | OwnSetting | Variable
_Defined = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_DOORS: Final = ("tinybase.extensions.decorators.", "tinybase.extensions.")
_MARKERS: Final = frozenset(
    {
        "tinybase.extensions.hookimpl",
        "tinybase_hookspecs.hookimpl",
        "tinybase_hookspecs.markers.hookimpl",
        "pluggy.HookimplMarker()",
    }
)
_REGISTER: Final = frozenset(
    {"tinybase.functions.register", "tinybase.functions.registration.register"}
)
_DECLARATION: Final = frozenset(
    {
        "tinybase_hookspecs.FunctionDeclaration",
        "tinybase_hookspecs.registration.FunctionDeclaration",
    }
)
_COLLECTIONS: Final = COLLECTIONS | frozenset(
    {
        "tinybase_hookspecs.CollectionDeclaration",
        "tinybase_hookspecs.registration.CollectionDeclaration",
    }
)
_SETTINGS: Final = frozenset(
    {
        "tinybase.extensions.Setting",
        "tinybase.extensions.settings.Setting",
        "tinybase_hookspecs.SettingDeclaration",
        "tinybase_hookspecs.registration.SettingDeclaration",
    }
)
_BLUEPRINT: Final = frozenset(
    {
        "tinybase.extensions.register_blueprint",
        "tinybase.extensions.routes.register_blueprint",
        "tinybase_hookspecs.BlueprintDeclaration",
        "tinybase_hookspecs.registration.BlueprintDeclaration",
    }
)
_PUBLIC: Final = frozenset({"tinybase.extensions.public", "tinybase.extensions.routes.public"})
_REQUIRES: Final = frozenset(
    {"tinybase.extensions.requires", "tinybase.extensions.routes.requires"}
)
_HOOKS: Final = frozenset({name.removeprefix("tinybase_") for name in HOOKS - COLLECTING})
_METHODS: Final = frozenset({"get", "post", "put", "patch", "delete"})
_COMMAND_SUFFIXES: Final = ("_command", "_cmd", "_group", "_grp")


class Offers:
    """What one module gives to TinyBase."""

    def __init__(self, module: Module, file: str, constants: Constants) -> None:
        self._module = module
        self._constants = constants
        self._file = file
        self._seen: set[ast.AST] = set()
        self._levels = dict(self._read_levels())

    def find(self) -> Iterator[_Finding]:
        """Yield everything, whether a decorator or a plain call makes it."""
        for node, scope in self._module.nodes:
            if isinstance(node, _Defined):
                level = self._own_level(node, scope)
                for decorator in node.decorator_list:
                    self._see(decorator)
                    handler = ".".join((*scope.path, node.name))
                    for found in self._in_decorator(decorator, node.name, handler, scope):
                        if isinstance(found, Route) and level is not None:
                            yield replace(found, auth=level)
                        else:
                            yield found
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                yield from self._in_assignment(node, node.value, scope)
            elif isinstance(node, ast.Call) and node not in self._seen:
                yield from self._in_call(node, scope)
            elif isinstance(node, ast.Name | ast.Attribute) and node not in self._seen:
                yield from self._in_reference(node, scope)

    def _see(self, node: ast.expr) -> None:
        """Note that a decorator, called or not, has been dealt with."""
        self._seen.add(node)
        if isinstance(node, ast.Call):
            self._see(node.func)
        elif isinstance(node, ast.Attribute):
            self._see(node.value)

    def _in_decorator(
        self, node: ast.expr, name: str, handler: str, scope: Scope
    ) -> Iterator[_Finding]:
        call = node if isinstance(node, ast.Call) else None
        target = call.func if call else node
        for meaning in self._module.meanings(target, scope):
            if decorator := _hook_decorator(meaning):
                yield self._hook(decorator, handler, call, node, scope)
            elif meaning in _MARKERS:
                yield from self._raw_hook(name, handler, call, node, scope)
            elif meaning in _REGISTER and call:
                yield self._function(call, scope)
        if isinstance(target, ast.Attribute):
            if call:
                yield from self._route(target, call, scope)
            if target.attr in ("command", "group"):
                yield self._command(name, call, node, scope)

    def _in_call(self, node: ast.Call, scope: Scope) -> Iterator[_Finding]:
        """Look for a decorator that is called like the function it is."""
        inner = node.func if isinstance(node.func, ast.Call) else None
        handler = ast.unparse(node.args[0]) if node.args else ""
        options = inner if inner else node
        for meaning in self._module.meanings(options.func, scope):
            if decorator := _hook_decorator(meaning):
                yield self._hook(decorator, handler, options, node, scope)
                self._see(node)
            elif meaning in _MARKERS:
                yield from self._raw_hook(handler, handler, options, node, scope)
                self._see(node)
            elif meaning in _REGISTER | _DECLARATION:
                yield self._function(options, scope)
                self._see(node)
            elif meaning in _COLLECTIONS:
                found = own.in_call(self._file, node, self._module, scope)
                name = node.args[0] if node.args else _keyword(node, "name")
                yield replace(found, name=self._text(name, scope))
            elif meaning in _SETTINGS:
                yield from self._variable(node, scope)
        if isinstance(node.func, ast.Attribute) and node.func.attr == "add_url_rule":
            yield from self._rule(node.func, node, self._methods(node, scope), scope)

    def _in_assignment(
        self, node: ast.Assign, call: ast.Call, scope: Scope
    ) -> Iterator[OwnSetting]:
        """Look for a setting, whose name is what it is assigned to."""
        if _SETTINGS.isdisjoint(self._module.meanings(call.func, scope)):
            return
        for target in node.targets:
            if isinstance(target, ast.Name):
                secret, required = (_is_true(_keyword(call, n)) for n in ("secret", "required"))
                yield OwnSetting(self._file, node.lineno, target.id, secret, required)

    def _variable(self, call: ast.Call, scope: Scope) -> Iterator[Variable]:
        name = self._text(_keyword(call, "env"), scope)
        if name is not None:
            yield Variable(self._file, call.lineno, name)

    def _in_reference(self, node: ast.Name | ast.Attribute, scope: Scope) -> Iterator[_Finding]:
        """Report a decorator that is handed on, since what it will decorate cannot be seen."""
        self._see(node)
        if node in self._module.aliases or not isinstance(node.ctx, ast.Load):
            return
        for meaning in self._module.meanings(node, scope):
            if decorator := _hook_decorator(meaning):
                yield self._hook(decorator, "", None, node, scope)
            elif meaning in _REGISTER:
                yield Offer(self._file, node.lineno, None, None)

    def _hook(
        self,
        decorator: str,
        handler: str,
        call: ast.Call | None,
        node: ast.expr,
        scope: Scope,
    ) -> Implementation:
        return Implementation(
            hook=f"tinybase_{decorator}",
            decorator=decorator,
            handler=handler,
            filters=self._filters(call, scope),
            file=self._file,
            line=node.lineno,
        )

    def _filters(self, call: ast.Call | None, scope: Scope) -> Filters:
        return tuple(
            (keyword.arg, self._texts(keyword.value, scope))
            for keyword in (call.keywords if call else ())
            if keyword.arg in ("collection", "name") and not _is_none(keyword.value)
        )

    def _raw_hook(
        self, name: str, handler: str, call: ast.Call | None, node: ast.expr, scope: Scope
    ) -> Iterator[Implementation]:
        hook = self._text(_keyword(call, "specname"), scope) or name.rpartition(".")[2]
        if hook.startswith("tinybase_"):
            yield Implementation(self._file, node.lineno, hook, "hookimpl", handler, ())

    def _function(self, call: ast.Call, scope: Scope) -> Offer:
        name = call.args[0] if call.args else _keyword(call, "name")
        level = _keyword(call, "auth")
        is_spread = any(keyword.arg is None for keyword in call.keywords)
        default = None if is_spread else "auth"
        return Offer(
            name=self._text(name, scope),
            auth=self._text(level, scope) if level else default,
            file=self._file,
            line=call.lineno,
        )

    def _route(self, target: ast.Attribute, call: ast.Call, scope: Scope) -> Iterator[Route]:
        if target.attr == "route":
            yield from self._rule(target, call, self._methods(call, scope), scope)
        elif target.attr in _METHODS:
            yield from self._rule(target, call, (target.attr.upper(),), scope)

    def _rule(
        self, target: ast.Attribute, call: ast.Call, methods: tuple[str, ...], scope: Scope
    ) -> Iterator[Route]:
        rule = self._text(call.args[0] if call.args else _keyword(call, "rule"), scope)
        if rule is not None and rule.startswith("/"):
            prefix = self._prefix(target.value, scope)
            yield Route(
                self._file,
                call.lineno,
                f"{prefix}{rule}",
                methods,
                self._levels.get(ast.unparse(target.value)),
            )

    def _text(self, node: ast.expr | None, scope: Scope) -> str | None:
        return self._constants.text(self._module, self._file, node, scope)

    def _texts(self, node: ast.expr | None, scope: Scope) -> tuple[str, ...] | None:
        return self._constants.texts(self._module, self._file, node, scope)

    def _read_levels(self) -> Iterator[tuple[str, str | None]]:
        """Yield the blueprints that are handed over, and whom they admit, if that is seen."""
        for node, scope in self._module.nodes:
            if not isinstance(node, ast.Call) or not node.args:
                continue
            if not _BLUEPRINT.isdisjoint(self._module.meanings(node.func, scope)):
                given = _keyword(node, "auth")
                level = self._text(given, scope) if given else "auth"
                yield ast.unparse(node.args[0]), level

    def _own_level(self, node: _Defined, scope: Scope) -> str | None:
        """Return the level that a view has of its own."""
        for decorator in node.decorator_list:
            call = decorator if isinstance(decorator, ast.Call) else None
            meanings = self._module.meanings(call.func if call else decorator, scope)
            if not _PUBLIC.isdisjoint(meanings):
                return "public"
            if call and call.args and not _REQUIRES.isdisjoint(meanings):
                return self._text(call.args[0], scope)
        return None

    def _methods(self, call: ast.Call, scope: Scope) -> tuple[str, ...]:
        methods = _keyword(call, "methods")
        found = self._texts(methods, scope) if methods else ("GET",)
        return tuple(method.upper() for method in found or ())

    def _prefix(self, blueprint: ast.expr, scope: Scope) -> str:
        made = self._module.value_of(blueprint, scope)
        if isinstance(made, ast.Call):
            return self._text(_keyword(made, "url_prefix"), scope) or ""
        return ""

    def _command(
        self, function: str, call: ast.Call | None, node: ast.expr, scope: Scope
    ) -> Command:
        given = _keyword(call, "name") or (call.args[0] if call and call.args else None)
        return Command(self._file, node.lineno, self._text(given, scope) or _command_name(function))


def _hook_decorator(name: str) -> str | None:
    """Return the decorator that a dotted name is, also one of a later TinyBase."""
    for door in _DOORS:
        short = name.removeprefix(door)
        is_hook = short in _HOOKS or short.startswith(("on_", "before_"))
        if short != name and is_hook and short.isidentifier():
            return short
    return None


def _command_name(function: str) -> str:
    """Name a command as click does."""
    for suffix in _COMMAND_SUFFIXES:
        if function.endswith(suffix) and function != suffix:
            function = function.removesuffix(suffix)
            break
    return function.lower().replace("_", "-")


def _keyword(call: ast.Call | None, name: str) -> ast.expr | None:
    keywords = call.keywords if call else []
    return next((keyword.value for keyword in keywords if keyword.arg == name), None)


def _is_true(node: ast.expr | None) -> bool:
    return isinstance(node, ast.Constant) and node.value is True


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None
