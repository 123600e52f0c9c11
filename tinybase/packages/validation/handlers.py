"""Handlers and functions that cannot work, found by reading how they are decorated.

The judgement is that of the decorators themselves: what a module says is handed to them as
far as it is written out, with stand-ins that have the signatures of the author's functions
and nothing of their code.
"""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

import tinybase
import tinybase.extensions
import tinybase_hookspecs
from tinybase.extensions import HandlerError
from tinybase.extensions.signatures import read_arguments
from tinybase.packages.validation.findings import Finding, error, from_sentence, warning
from tinybase.packages.validation.implementations import (
    implementation_faults,
    unmarked_implementation,
)
from tinybase.packages.validation.source import DOORS, Module, Sources
from tinybase.packages.validation.syntax import (
    Definition,
    bindings,
    definitions,
    is_literal,
    is_text,
    literal,
    plain_name,
    stand_in,
    target_of,
)
from tinybase_hookspecs import FunctionDeclaration

CheckFunction = Callable[[FunctionDeclaration], None]
"""Refuses a declaration that cannot work with a ``HandlerError``."""

_CONTRIBUTIONS = (
    "command",
    "health_check",
    "register_blueprint",
    "register_collection",
    "register_metric",
    "register_settings",
)
"""What says that an extension brings something, without being a handler."""

_EVENTS = tuple(
    name
    for name in tinybase.extensions.__all__
    if hasattr(tinybase_hookspecs, f"tinybase_{name}") and name not in _CONTRIBUTIONS
)
_ORDER = ("priority", "before", "after", "tryfirst", "trylast")
_HOOKIMPL = "tinybase_hookspecs.hookimpl"
_REGISTER = "tinybase.functions.register"
_COLLECTION = "tinybase.extensions.register_collection"
_ALIASES = {
    "tinybase.extensions.hookimpl": _HOOKIMPL,
    "tinybase_hookspecs.markers.hookimpl": _HOOKIMPL,
    "tinybase.functions.registration.register": _REGISTER,
}
_OPTIONS = tuple(item.name for item in fields(FunctionDeclaration) if item.name != "handler")


@dataclass(frozen=True, slots=True)
class Registered:
    """A function or a collection that a module registers under a name that is written out."""

    name: str
    file: str
    line: int


class Handlers:
    """Looks at one module.

    ``line`` is that of the first handler, or of whatever else it brings; ``functions`` and
    ``collections`` are what it registers by name.
    """

    def __init__(
        self,
        module: Module,
        sources: Sources,
        check_function: CheckFunction,
        note: Callable[[Finding], None],
        extension: str = "",
    ) -> None:
        self._module = module
        self._extension = extension
        self._sources = sources
        self._check_function = check_function
        self._note = note
        self._seen: set[ast.AST] = set()
        self.line: int | None = None
        self.functions: list[Registered] = []
        self.collections: list[Registered] = []

    def look(self) -> None:
        """Note everything that cannot work."""
        self._look_at_imports()
        self._look_at_shadows()
        for definition, name, owner in definitions(self._module.tree):
            for index, decorator in enumerate(definition.decorator_list):
                beneath = definition.decorator_list[index + 1 :]
                self._look_at_decorator(decorator, beneath, definition, name, owner)
            for fault in unmarked_implementation(self._module.file, definition, owner):
                self._note(fault)
        for node in ast.walk(self._module.tree):
            if isinstance(node, ast.Call) and node not in self._seen:
                self._look_at_call(node)

    def _error(self, line: int, code: str, message: str, remedy: str) -> None:
        self._note(error(self._module.file, line, code, message, remedy))

    def _meaning(self, node: ast.expr) -> str:
        return _public_name(self._sources.meaning(self._module, node))

    def _look_at_imports(self) -> None:
        for item in self._module.imports:
            if item.module in DOORS and item.name not in ("", "*"):
                self._check_exists(item.module, item.name, item.line)

    def _check_exists(self, door: str, name: str, line: int) -> None:
        offered = DOORS[door]
        if name in offered or _is_submodule(door, name):
            return
        near = difflib.get_close_matches(name, offered, n=1)
        known = _EVENTS if name.startswith("on_") else offered
        remedy = f"Write {near[0]}." if near else f"It has {', '.join(known)}."
        code = "unknown-decorator" if name.startswith("on_") else "unknown-import"
        self._error(line, code, f"{door} has no {name}", remedy)

    def _look_at_shadows(self) -> None:
        """Look for decorators whose names get another meaning in the module."""
        for name, line in bindings(self._module.tree):
            meaning = _public_name(self._module.names.get(name, ""))
            if _event(meaning) is None and meaning != _REGISTER:
                continue
            uses = [
                decorator.lineno
                for definition, _, _ in definitions(self._module.tree)
                for decorator in definition.decorator_list
                if plain_name(decorator) == name
            ]
            make = error if any(use > line for use in uses) else warning
            message = f"{name} hides the decorator @{name} from here on"
            remedy = f"Give it another name, such as handle_{name.removeprefix('on_')}."
            self._note(make(self._module.file, line, "shadowed-name", message, remedy))

    def _look_at_decorator(
        self,
        decorator: ast.expr,
        beneath: Sequence[ast.expr],
        definition: Definition,
        name: str,
        owner: ast.ClassDef | None,
    ) -> None:
        self._seen.add(decorator)
        meaning = self._meaning(target_of(decorator))
        if event := _event(meaning):
            self._found_handler(decorator.lineno)
            if self._accepts(event, decorator):
                self._look_at_handler(event, self._stand_in(definition, name, beneath), decorator)
        elif meaning == _REGISTER:
            self._found_handler(decorator.lineno)
            self._look_at_function(self._stand_in(definition, name, beneath), decorator)
        elif meaning == _HOOKIMPL:
            self._found_handler(decorator.lineno)
            for fault in implementation_faults(self._module.file, decorator, definition, owner):
                self._note(fault)
        elif _contributes(meaning):
            self._found_handler(decorator.lineno)
        elif isinstance(target_of(decorator), ast.Attribute):
            door, _, attribute = meaning.rpartition(".")
            if door in DOORS:
                self._check_exists(door, attribute, decorator.lineno)
        else:
            self._look_for_name(plain_name(decorator), decorator.lineno)

    def _look_at_call(self, call: ast.Call) -> None:
        """Look at a decorator that is called like any function."""
        meaning = self._meaning(call.func)
        if event := _event(meaning):
            self._found_handler(call.lineno)
            if not call.args or is_text(call.args[0]):
                self._accepts(event, call)
        elif meaning == _REGISTER or _contributes(meaning):
            self._found_handler(call.lineno)
        if meaning == _COLLECTION:
            name = literal(call.args[0], None) if call.args else None
            if isinstance(name, str):
                self.collections.append(Registered(name, self._module.file, call.lineno))

    def _found_handler(self, line: int) -> None:
        self.line = min(self.line or line, line)

    def _look_for_name(self, name: str, line: int) -> None:
        """Look for a decorator that the module neither imports nor defines."""
        if not name or name in self._module.bound or not self._knows_all_names_but(name):
            return
        near = difflib.get_close_matches(name, _EVENTS, n=1)
        remedy = "Import or define it."
        if name == "register":
            remedy = "Add: from tinybase.functions import register."
        elif near:
            remedy = f"Write @{near[0]}, and import it: from tinybase.extensions import {near[0]}."
        self._error(line, "unknown-decorator", f"@{name} is not defined", remedy)

    def _knows_all_names_but(self, name: str) -> bool:
        """Say whether ``from module import *`` cannot be what brings a name."""
        modules = self._sources.modules
        return all(
            star in modules and name not in modules[star].bound for star in self._module.stars
        )

    def _accepts(self, event: str, decorator: ast.expr) -> bool:
        """Hand a decorator what it is called with; say whether it takes it."""
        if not isinstance(decorator, ast.Call) or any(k.arg is None for k in decorator.keywords):
            return True  # without arguments, or with **options, which can be anything
        options = {
            str(keyword.arg): literal(keyword.value, otherwise="x")
            for keyword in decorator.keywords
            if keyword.arg not in _ORDER or is_literal(keyword.value)
        }
        try:
            # Whatever is given by position, a text is as wrong as that.
            getattr(tinybase.extensions, event)(*("x" for _ in decorator.args), **options)
        except HandlerError as refused:
            self._refused(decorator, "handler", refused)
            return False
        self._look_at_order(event, options, decorator.lineno)
        return True

    def _look_at_order(self, event: str, options: dict[str, Any], line: int) -> None:
        """Look for an extension that wants to be called before itself."""
        for key in ("before", "after"):
            names = options.get(key, ())
            named = {canonicalize_name(n) for n in ([names] if isinstance(names, str) else names)}
            if self._extension and self._extension in named:
                message = f"@{event} has {key}={self._extension}, which is this extension itself"
                remedy = "Use priority; handlers of one extension else run as they are written."
                self._note(warning(self._module.file, line, "order", message, remedy))

    def _look_at_handler(self, event: str, handler: Any | None, decorator: ast.expr) -> None:
        spec = getattr(tinybase_hookspecs, f"tinybase_{event}")
        if handler is None:
            return
        try:
            read_arguments(event, handler, has_event=bool(inspect.signature(spec).parameters))
        except HandlerError as refused:
            self._refused(decorator, "handler", refused)

    def _look_at_function(self, function: Any | None, decorator: ast.expr) -> None:
        call = decorator if isinstance(decorator, ast.Call) else ast.Call(decorator, [], [])
        options = {item.arg: item.value for item in call.keywords}
        if None in options:
            return
        given = {str(key): value for key, value in options.items()}
        if call.args:
            given["name"] = call.args[0]
        if "name" not in given or len(call.args) > 1:
            message = "@register takes a name, and everything else by keyword"
            remedy = 'Write @register(name="a_name", auth="auth") above the function.'
            self._error(decorator.lineno, "function", message, remedy)
        elif unknown := sorted(given.keys() - set(_OPTIONS)):
            message, remedy = f"@register takes no {', '.join(unknown)}", ", ".join(_OPTIONS)
            self._error(decorator.lineno, "function", message, f"It takes {remedy}.")
        else:
            written = {k: ast.literal_eval(v) for k, v in given.items() if is_literal(v)}
            self._declare(written, function, decorator)

    def _declare(self, written: dict[str, Any], function: Any, decorator: ast.expr) -> None:
        """Hand the function to whoever judges it when the extension is loaded."""
        tags = written.get("tags") or ()
        declaration = FunctionDeclaration(
            name=written.get("name", "a_name"),
            handler=function if function is not None else lambda ctx, payload: None,  # noqa: ARG005
            description=written.get("description") or "",
            auth=written.get("auth", "auth"),
            tags=tuple(tags) if isinstance(tags, list | tuple | set) else tags,
        )
        try:
            self._check_function(declaration)
        except HandlerError as refused:
            self._refused(decorator, "function", refused)
        else:
            if "name" in written:
                found = Registered(declaration.name, self._module.file, decorator.lineno)
                self.functions.append(found)

    def _refused(self, decorator: ast.expr, code: str, reason: HandlerError) -> None:
        self._note(from_sentence(self._module.file, decorator.lineno, code, str(reason)))

    def _stand_in(
        self, definition: Definition, name: str, beneath: Sequence[ast.expr]
    ) -> Any | None:
        """Return something like what a decorator gets; ``None`` if another one may change it."""
        made = stand_in(definition, name, self._meaning)
        for decorator in reversed(beneath):
            meaning = self._meaning(target_of(decorator))
            if _event(meaning) or meaning in (_REGISTER, _HOOKIMPL):
                continue
            match plain_name(decorator):
                case "staticmethod":
                    made = staticmethod(made)
                case "classmethod":
                    made = classmethod(made)
                case _:
                    return None
        return made


def _public_name(dotted: str) -> str:
    """Return the name under which TinyBase offers what has several."""
    shorter = dotted.replace("tinybase.extensions.decorators.", "tinybase.extensions.")
    return _ALIASES.get(shorter, shorter)


def _event(meaning: str) -> str | None:
    """Return the decorator of an event that a dotted name means."""
    door, _, name = meaning.rpartition(".")
    return name if door == "tinybase.extensions" and name in _EVENTS else None


def _contributes(meaning: str) -> bool:
    door, _, name = meaning.rpartition(".")
    return door == "tinybase.extensions" and name in _CONTRIBUTIONS


def _is_submodule(door: str, name: str) -> bool:
    folder = Path(tinybase.__file__).parent.parent.joinpath(*door.split("."))
    return (folder / f"{name}.py").is_file()
