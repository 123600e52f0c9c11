"""Finding what the code of a module can do beyond answering its hooks."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from typing import Final

from tinybase.packages.inspection.findings import Power, Use
from tinybase.packages.inspection.names import Module, Scope
from tinybase.packages.inspection.powers import RISKY_MODULES, power_of

_Found = tuple[Power, str]

_OPENERS: Final = frozenset(
    {
        *("builtins.open", "io.open", "codecs.open", "os.fdopen", "tarfile.open"),
        *("gzip.open", "bz2.open", "lzma.open", "zipfile.ZipFile"),
        *("gzip.GzipFile", "bz2.BZ2File", "lzma.LZMAFile"),
    }
)
_IMPORTERS: Final = frozenset({"builtins.__import__", "importlib.import_module"})
_SETTERS: Final = frozenset({"builtins.setattr", "builtins.delattr"})
# Methods whose names say what they do, whatever the object is called.
_WRITERS: Final = frozenset(
    {
        *("write_text", "write_bytes", "unlink", "rmdir", "mkdir"),
        *("symlink_to", "hardlink_to", "extractall"),
    }
)
_MODE: Final = re.compile(r"[rwaxbtU+]+")
_WRITES: Final = re.compile(r"[wax+]")
# Proxies that every request has for itself.
_NOT_SHARED: Final = ("flask.g", "flask.session", "flask.request")


class Uses:
    """The powers that one module uses.

    :param own: the top-level names of the extension's own packages.
    """

    def __init__(self, module: Module, file: str, own: frozenset[str]) -> None:
        self._module = module
        self._file = file
        self._own = own
        self._seen: set[ast.AST] = set()

    def find(self) -> Iterator[Use]:
        """Yield every use, once a line."""
        found = {
            (power, what, line)
            for node, scope in self._module.nodes
            for (power, what), line in self._in_node(node, scope)
        }
        used = {what for _, what, _ in found}
        for item in self._module.imports:
            # Others may take it from here: names are not followed through modules.
            match power_of(item.target):
                case (power, what) if what not in used:
                    found.add((power, what, item.line))
        for power, what, line in found:
            yield Use(self._file, line, power, what)

    def _in_node(self, node: ast.AST, scope: Scope) -> Iterator[tuple[_Found, int]]:
        match node:
            case ast.Call():
                for item in self._in_call(node, scope):
                    yield item, node.lineno
            case ast.Name(ctx=ast.Load()) | ast.Attribute(ctx=ast.Load()):
                for item in self._in_reference(node, scope):
                    yield item, node.lineno
            case ast.Subscript(ctx=ast.Load()):
                for name in self._module.meanings(node, scope):
                    if known := power_of(name):
                        yield known, node.lineno
            case ast.Attribute() | ast.Subscript():
                for item in self._in_change(node, scope):
                    yield item, node.lineno

    def _in_reference(self, node: ast.Name | ast.Attribute, scope: Scope) -> Iterator[_Found]:
        """Look at a name with all its dots; a function may be used without being called here."""
        if isinstance(node, ast.Attribute):
            self._seen.add(node.value)
        if node in self._seen:
            return
        for name in self._module.meanings(node, scope):
            if known := power_of(name):
                yield known
            elif name in _IMPORTERS:
                yield Power.CODE, _shown(name)

    def _in_call(self, node: ast.Call, scope: Scope) -> Iterator[_Found]:
        functions = self._module.meanings(node.func, scope)
        for function in functions:
            yield from self._in_known_call(function, node, scope)
        if isinstance(node.func, ast.Attribute) and not any(map(_is_known, functions)):
            yield from self._in_method(node.func.attr, node, scope)

    def _in_known_call(self, function: str, node: ast.Call, scope: Scope) -> Iterator[_Found]:
        first = node.args[0] if node.args else None
        if function in _OPENERS:
            if self._writes(node, scope):
                yield Power.FILES, f"{_shown(function)} to write"
        elif function == "os.open":
            flags = node.args[1] if len(node.args) > 1 else None
            if flags is None or self._module.meanings(flags, scope) != {"os.O_RDONLY"}:
                yield Power.FILES, function
        elif function in _IMPORTERS:
            self._seen.add(node.func)
            if self._module.text(first, scope) is None:
                yield Power.CODE, _shown(function)
        elif function == "builtins.getattr" and len(node.args) > 1:
            risky = self._module.meanings(node.args[0], scope) & RISKY_MODULES
            if self._module.text(node.args[1], scope) is None:
                yield from ((Power.CODE, f"getattr of {name}") for name in risky)
            else:
                names = self._module.meanings(node, scope)
                yield from (known for known in map(power_of, names) if known)
        elif function in _SETTERS and first is not None:
            for owner in filter(self._is_foreign, self._module.meanings(first, scope)):
                name = self._module.text(node.args[1] if len(node.args) > 1 else None, scope)
                yield Power.PATCHES, f"{owner}.{name}" if name else owner

    def _in_method(self, method: str, node: ast.Call, scope: Scope) -> Iterator[_Found]:
        if method in _WRITERS:
            yield Power.FILES, f".{method}"
        elif method == "open":
            mode = self._module.text(_argument(node, 0, "mode"), scope)
            if mode and _MODE.fullmatch(mode) and _WRITES.search(mode):
                yield Power.FILES, ".open to write"

    def _in_change(self, node: ast.Attribute | ast.Subscript, scope: Scope) -> Iterator[_Found]:
        """Look at what is assigned to, or deleted."""
        owners = self._module.meanings(node.value, scope)
        for owner in owners:
            if isinstance(node, ast.Attribute):
                if self._is_foreign(owner):
                    yield Power.PATCHES, f"{owner}.{node.attr}"
            elif owner in ("os.environ", "sys.modules") or (
                owner == "builtins" or owner.endswith(".__dict__")
            ):
                yield Power.PATCHES, owner.removesuffix(".__dict__")

    def _writes(self, node: ast.Call, scope: Scope) -> bool:
        """Say whether a file is opened to be changed, or may be."""
        mode = _argument(node, 1, "mode")
        if mode is None:
            return any(keyword.arg is None for keyword in node.keywords)
        text = self._module.text(mode, scope)
        return text is None or bool(_WRITES.search(text))

    def _is_foreign(self, name: str) -> bool:
        """Say whether a name is a module or a thing of somebody else, and not a new object."""
        return (
            not name.startswith(".")
            and "()" not in name
            and name.partition(".")[0] not in self._own
            and not name.startswith(_NOT_SHARED)
        )


def _argument(node: ast.Call, position: int, name: str) -> ast.expr | None:
    if len(node.args) > position:
        return node.args[position]
    return next((keyword.value for keyword in node.keywords if keyword.arg == name), None)


def _is_known(name: str) -> bool:
    """Say whether a method is that of a module, and not of some path."""
    return not name.startswith((".", "pathlib."))


def _shown(name: str) -> str:
    return name.removeprefix("builtins.")
