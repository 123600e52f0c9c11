"""Finding the environment variables that a module reads."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from tinybase.packages.inspection.findings import Power, Use, Variable
from tinybase.packages.inspection.names import Module, Scope

_ENVIRON: Final = frozenset({"os.environ", "os.environb", "posix.environ"})
_GETTERS: Final = frozenset({"os.getenv", "os.getenvb"}) | {
    f"{environ}.{method}"
    for environ in _ENVIRON
    for method in ("get", "pop", "setdefault", "__getitem__")
}
_WHOLE: Final = _ENVIRON | {
    f"{environ}.{method}" for environ in _ENVIRON for method in ("copy", "items", "keys", "values")
}


class Variables:
    """The environment variables of one module."""

    def __init__(self, module: Module, file: str) -> None:
        self._module = module
        self._file = file
        self._seen: set[ast.AST] = set()

    def find(self) -> Iterator[Variable | Use]:
        """Yield every variable, and every place from which any may be read."""
        for node, scope in self._module.nodes:
            match node:
                case ast.Subscript(value=value, slice=key, ctx=context):
                    if self._means(value, scope, _ENVIRON):
                        if isinstance(context, ast.Load):
                            yield self._read(key, node, scope)
                        self._seen.add(value)
                case ast.Call(func=function) if self._means(function, scope, _GETTERS):
                    yield self._read(_key(node), node, scope)
                    self._seen.add(function)
                case ast.Compare(left=key, ops=[ast.In() | ast.NotIn()], comparators=[value]):
                    if self._means(value, scope, _ENVIRON):
                        yield self._read(key, node, scope)
                        self._seen.add(value)
                case ast.Attribute(ctx=ast.Load()) | ast.Name(ctx=ast.Load()):
                    if self._is_whole(node, scope):
                        yield self._any(node)

    def _means(self, node: ast.expr, scope: Scope, names: frozenset[str]) -> bool:
        return not names.isdisjoint(self._module.meanings(node, scope))

    def _is_whole(self, node: ast.Attribute | ast.Name, scope: Scope) -> bool:
        """Say whether all of the environment is handed on here, and not just given a name."""
        if isinstance(node, ast.Attribute):
            self._seen.add(node.value)
        if node in self._seen or node in self._module.aliases:
            return False
        return self._means(node, scope, _WHOLE)

    def _read(self, key: ast.expr | None, node: ast.expr, scope: Scope) -> Variable | Use:
        if isinstance(key, ast.Constant) and isinstance(key.value, bytes):
            return Variable(self._file, node.lineno, key.value.decode("utf-8", "replace"))
        name = self._module.text(key, scope)
        return Variable(self._file, node.lineno, name) if name is not None else self._any(node)

    def _any(self, node: ast.expr) -> Use:
        return Use(self._file, node.lineno, Power.ENVIRONMENT, "os.environ")


def _key(node: ast.Call) -> ast.expr | None:
    if node.args:
        return node.args[0]
    return next((keyword.value for keyword in node.keywords if keyword.arg == "key"), None)
