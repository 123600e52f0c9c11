"""The modules of an extension, parsed: what their names mean and what they import."""

from __future__ import annotations

import ast
import builtins
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import tinybase.extensions
import tinybase_hookspecs
from tinybase.packages.validation.findings import Finding, error
from tinybase.packages.validation.syntax import blocks

_MARKER = "tinybase_hookspecs.hookimpl"
DOORS: Mapping[str, tuple[str, ...]] = {
    "tinybase.extensions": tuple(tinybase.extensions.__all__),
    "tinybase.functions": (
        "BadRequest",
        "Conflict",
        "Context",
        "Invalid",
        "NotFound",
        "PreconditionFailed",
        "current_context",
        "register",
    ),
    "tinybase_hookspecs": tuple(tinybase_hookspecs.__all__),
}
"""The doors of TinyBase, and what ``from door import *`` gives."""


@dataclass(frozen=True, slots=True)
class Import:
    """One imported name.

    ``module`` is absolute; ``name`` is what of it is imported, ``*`` for everything, or
    empty for the module itself. An import is ``lazy`` in a function, ``guarded`` where its
    failure is caught, and ``for_types`` where only type checkers look.
    """

    module: str
    name: str
    bound: str
    line: int
    lazy: bool = False
    guarded: bool = False
    for_types: bool = False


@dataclass(frozen=True)
class Module:
    """One module; ``file`` is relative to the extension."""

    name: str
    file: str
    source: str = field(repr=False)
    tree: ast.Module = field(repr=False)
    is_package: bool = False

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Return everything that it imports."""
        return tuple(_Imports(self).found())

    @cached_property
    def names(self) -> Mapping[str, str]:
        """Return what the imported names mean, as dotted names."""
        names = dict(_markers(self.tree))
        for item in self.imports:
            if item.name != "*":
                names[item.bound] = _meaning(item)
            elif item.module in DOORS:
                names |= {name: f"{item.module}.{name}" for name in DOORS[item.module]}
        return names

    @cached_property
    def bound(self) -> frozenset[str]:
        """Return every name that it binds anywhere, and those that Python has."""
        found = set(dir(builtins)) | set(self.names)
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load):
                found.add(node.id)
            elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.arg):
                found.add(node.arg)
            elif isinstance(node, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and node.name:
                found.add(node.name)
        return frozenset(found)

    @property
    def stars(self) -> list[str]:
        """Return the modules of which it imports everything, the doors of TinyBase apart."""
        return [i.module for i in self.imports if i.name == "*" and i.module not in DOORS]


class Sources:
    """All modules of an extension, by name."""

    def __init__(self, modules: Mapping[str, Module]) -> None:
        self.modules = modules

    def meaning(self, module: Module, node: ast.expr) -> str:
        """Return the dotted name of what an expression names; empty if it names nothing known."""
        if isinstance(node, ast.Name):
            return self._known(module, node.id, 8)
        if isinstance(node, ast.Attribute):
            owner = self.meaning(module, node.value)
            return self._followed(f"{owner}.{node.attr}", 8) if owner else ""
        return ""

    def loaded(self, *entries: str) -> frozenset[str] | None:
        """Return which modules are imported with some of them.

        ``None`` when that cannot be told, because modules are imported by computed names.
        """
        seen: set[str] = set()
        ahead = [part for entry in entries for part in _with_parents(entry)]
        while ahead:
            name = ahead.pop()
            module = self.modules.get(name)
            if module is None or name in seen:
                continue
            seen.add(name)
            if _imports_by_computed_name(module):
                return None
            for item in module.imports:
                if not item.lazy and not item.for_types:
                    ahead += _with_parents(item.module)
                    ahead += _with_parents(f"{item.module}.{item.name}") if item.name else []
        return frozenset(seen)

    def _known(self, module: Module, name: str, left: int) -> str:
        if name in module.names:
            return self._followed(module.names[name], left)
        for star in module.stars:
            if star in self.modules and left and (found := self._known_in(star, name, left - 1)):
                return found
        return ""

    def _known_in(self, module: str, name: str, left: int) -> str:
        return self._known(self.modules[module], name, left)

    def _followed(self, dotted: str, left: int) -> str:
        """Follow a name through modules of the extension that import it from elsewhere."""
        owner, _, name = dotted.rpartition(".")
        if left and owner in self.modules and dotted not in self.modules:
            return self._known_in(owner, name, left - 1) or dotted
        return dotted


def parse(
    files: Mapping[str, Path], root: Path, note: Callable[[Finding], None]
) -> Mapping[str, Module]:
    """Parse modules, and note those that cannot be."""
    modules = {}
    for name, path in files.items():
        file = path.relative_to(root).as_posix()
        try:
            source = path.read_text("utf-8-sig")
            tree = _parsed(source)
        except SyntaxError as fault:
            note(error(file, fault.lineno, "syntax", str(fault.msg), "Correct the syntax."))
        except (UnicodeDecodeError, ValueError, RecursionError, OSError) as fault:
            remedy = "Save it as UTF-8 text that Python can read."
            note(error(file, None, "syntax", f"it cannot be read: {fault}", remedy))
        else:
            modules[name] = Module(name, file, source, tree, path.name == "__init__.py")
    return modules


def _parsed(source: str) -> ast.Module:
    with warnings.catch_warnings():
        # What Python thinks of the style of somebody else's code is for them to hear.
        warnings.simplefilter("ignore")
        return ast.parse(source)


class _Imports(ast.NodeVisitor):
    """Collects the imports of a module, with the circumstances of each."""

    def __init__(self, module: Module) -> None:
        self._module = module
        self._found: list[Import] = []
        self._lazy = self._guarded = self._for_types = False

    def found(self) -> list[Import]:
        self.visit(self._module.tree)
        return self._found

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            # Without "as" only the first part becomes a name; all of it is imported.
            bound = alias.asname or alias.name.partition(".")[0]
            self._add(alias.name, "", bound, alias.lineno)

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        base = self._absolute(node)
        for alias in node.names:
            self._add(base, alias.name, alias.asname or alias.name, alias.lineno)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._within(node, "_lazy")

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> None:
        self._within(node, "_lazy")

    def visit_If(self, node: ast.If) -> None:
        names = {part.id for part in ast.walk(node.test) if isinstance(part, ast.Name)}
        names |= {part.attr for part in ast.walk(node.test) if isinstance(part, ast.Attribute)}
        self._within(node, "_for_types" if "TYPE_CHECKING" in names else "")

    def visit_Try(self, node: ast.Try) -> None:
        self._within(node, "_guarded" if any(map(_catches_imports, node.handlers)) else "")

    def visit_TryStar(self, node: ast.TryStar) -> None:
        self._within(node, "_guarded" if any(map(_catches_imports, node.handlers)) else "")

    def generic_visit(self, node: ast.AST) -> None:
        for block in blocks(node):
            self.visit(block)

    def _within(self, node: ast.AST, circumstance: str) -> None:
        before = getattr(self, circumstance, False)
        if circumstance:
            setattr(self, circumstance, True)
        self.generic_visit(node)
        if circumstance:
            setattr(self, circumstance, before)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self._module.name.split(".")
        kept = len(parts) - node.level + self._module.is_package
        return ".".join([*parts[: max(kept, 0)], *filter(None, [node.module])])

    def _add(self, module: str, name: str, bound: str, line: int) -> None:
        circumstances = (self._lazy, self._guarded, self._for_types)
        self._found.append(Import(module, name, bound, line, *circumstances))


def _meaning(item: Import) -> str:
    if item.name:
        return f"{item.module}.{item.name}"
    return item.module if "." not in item.module or item.bound != _top(item.module) else item.bound


def _top(module: str) -> str:
    return module.partition(".")[0]


def _with_parents(dotted: str) -> list[str]:
    parts = dotted.split(".")
    return [".".join(parts[: count + 1]) for count in range(len(parts))]


def _markers(tree: ast.Module) -> Iterator[tuple[str, str]]:
    """Yield the names under which a module has a marker of the contract of its own."""
    for node in tree.body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id=name)],
                value=ast.Call(
                    func=ast.Name(id="HookimplMarker") | ast.Attribute(attr="HookimplMarker"),
                    args=[ast.Constant(value="tinybase")],
                ),
            ):
                yield name, _MARKER


def _catches_imports(handler: ast.ExceptHandler) -> bool:
    if handler.type is None:
        return True
    caught = {node.id for node in ast.walk(handler.type) if isinstance(node, ast.Name)}
    return bool(caught & {"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


def _imports_by_computed_name(module: Module) -> bool:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call):
            called = node.func
            name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
            if name in {"import_module", "__import__", "walk_packages", "iter_modules"}:
                return True
    return False
