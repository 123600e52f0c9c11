"""Texts that are written out, also where a module has them from another one of its extension."""

from __future__ import annotations

import ast
from collections.abc import Callable, Collection, Iterator
from typing import Final

from tinybase.packages.inspection.names import Module, Scope

COLLECTIONS: Final = frozenset(
    {
        "tinybase.extensions.register_collection",
        "tinybase.extensions.collections.register_collection",
    }
)
"""What returns the name that it is given."""

_FOLDERS: Final = ("", "src/", "lib/")
_DEEPEST: Final = 10

Read = Callable[[str], bytes | None]
"""Returns the source of a module, by its file."""


class Constants:
    """The constants of one extension; a module is read when one of its names is asked for.

    :param own: the packages and modules at the top of the extension.
    """

    def __init__(self, own: Collection[str], read: Read) -> None:
        self._own = own
        self._read = read
        self._modules: dict[str, Module | None] = {}

    def texts(
        self,
        module: Module,
        file: str,
        node: ast.expr | None,
        scope: Scope,
        depth: int = _DEEPEST,
    ) -> tuple[str, ...] | None:
        """Return the constant texts that an expression is; ``None`` if it is computed."""
        found = module.texts(node, scope)
        if found is not None or node is None or not depth:
            return found
        made = module.only_value_of(node, scope)
        if isinstance(made, ast.Name | ast.Attribute):
            return self.texts(module, file, made, scope, depth - 1)
        if isinstance(made, ast.Call):
            if COLLECTIONS.isdisjoint(module.meanings(made.func, scope)):
                return None
            return self.texts(module, file, _name_given(made), scope, depth - 1)
        for target in _only(module.imported(node, scope)):
            for other in self._files(file, target):
                if (sibling := self._module(other)) is not None:
                    name = ast.Name(target.rpartition(".")[2])
                    return self.texts(sibling, other, name, sibling.top, depth - 1)
        return None

    def text(self, module: Module, file: str, node: ast.expr | None, scope: Scope) -> str | None:
        """Return the one constant text that an expression is."""
        found = self.texts(module, file, node, scope)
        return found[0] if found is not None and len(found) == 1 else None

    def _files(self, file: str, target: str) -> Iterator[str]:
        """Yield where the module may be in which a dotted name is defined."""
        level = len(target) - len(target.lstrip("."))
        *parts, _ = target[level:].split(".")
        if level:
            here = file.split("/")[:-level]
            starts = ["/".join([*here, *parts])]
        elif parts and parts[0] in self._own:
            # In a flat repository the package is the folder itself.
            starts = [f"{folder}{'/'.join(parts)}" for folder in _FOLDERS] + ["/".join(parts[1:])]
        else:
            return
        for start in starts:
            yield f"{start}.py"
            yield f"{start}/__init__.py".removeprefix("/")

    def _module(self, file: str) -> Module | None:
        if file not in self._modules:
            self._modules[file] = self._parsed(file)
        return self._modules[file]

    def _parsed(self, file: str) -> Module | None:
        source = self._read(file)
        try:
            return None if source is None else Module(ast.parse(source))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None  # whoever looks at that file says so


def _name_given(call: ast.Call) -> ast.expr | None:
    if call.args:
        return call.args[0]
    return next((item.value for item in call.keywords if item.arg == "name"), None)


def _only(names: frozenset[str]) -> frozenset[str]:
    return names if len(names) == 1 else frozenset()
