"""What the names in one module stand for, as far as its source tells.

Where a name may stand for several things, all of them count: it is better to point at a
line too many than to overlook one.
"""

from __future__ import annotations

import ast
import builtins
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

_BUILTINS = frozenset(dir(builtins))
_MAX_NAME = 200
_MAX_MEANINGS = 100

_Value = ast.expr | str | None
_Scoped = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda | ast.ClassDef


@dataclass(eq=False, slots=True)
class Scope:
    """The names of a module, a class or a function, with all that they are bound to.

    A value is an expression, the dotted name of what was imported, or ``None`` for
    something of the module's own.
    """

    parent: Scope | None = None
    path: tuple[str, ...] = ()
    is_function: bool = False
    values: dict[str, list[_Value]] = field(default_factory=dict)
    elsewhere: dict[str, Scope] = field(default_factory=dict)

    def bind(self, name: str, value: _Value) -> None:
        """Note a value of a name."""
        self.elsewhere.get(name, self).values.setdefault(name, []).append(value)

    @property
    def outer(self) -> Scope | None:
        """Return where a name is looked up next: a function does not see its class."""
        scope = self.parent
        while scope is not None and scope.parent is not None and not scope.is_function:
            scope = scope.parent
        return scope


@dataclass(frozen=True, slots=True)
class Import:
    """A module, or something of a module, that is imported; ``*`` is a name like any other."""

    target: str
    line: int


class Module:
    """A parsed module: every node with the scope it is in, parents before children."""

    def __init__(self, tree: ast.Module) -> None:
        self.nodes: list[tuple[ast.AST, Scope]] = []
        self.imports: list[Import] = []
        self.aliases: set[ast.expr] = set()
        self.top = Scope()
        self._stars: list[str] = []
        self._known: dict[tuple[Scope, str], frozenset[str]] = {}
        self._found: dict[ast.expr, frozenset[str]] = {}
        # At the top, and only there, a definition surely takes the place of a builtin.
        self._own = frozenset(_defined(tree.body))
        self._scan(tree)

    def meanings(self, node: ast.expr, scope: Scope) -> frozenset[str]:
        """Return the dotted names that an expression may stand for.

        An object that a call returns has the name of what was called, and ``()``. Names of
        the extension's own modules begin with a dot.

        :raises ValueError: if there are so many that somebody must have made it so.
        """
        if node not in self._found:
            self._found[node] = self._meanings_of(node, scope)
            if len(self._found[node]) > _MAX_MEANINGS:
                raise ValueError("a name stands for too many things")
        return self._found[node]

    def texts(self, node: ast.expr | None, scope: Scope) -> tuple[str, ...] | None:
        """Return the constant text, or texts, that an expression is; ``None`` if it is none."""
        match node:
            case ast.Constant(value=str(text)):
                return (text,)
            case ast.List(elts=items) | ast.Tuple(elts=items):
                return self._texts_of_items(items, scope)
            case ast.Name(id=name):
                return self._texts_of_name(name, scope)
        return None

    def text(self, node: ast.expr | None, scope: Scope) -> str | None:
        """Return the constant text that an expression is."""
        found = self.texts(node, scope)
        return found[0] if found is not None and len(found) == 1 else None

    def value_of(self, node: ast.expr, scope: Scope) -> ast.expr | None:
        """Return the expression that a name was last bound to."""
        where: Scope | None = scope
        while isinstance(node, ast.Name) and where is not None:
            if node.id in where.values:
                value = where.values[node.id][-1]
                return value if isinstance(value, ast.expr) else None
            where = where.outer
        return None

    def only_value_of(self, node: ast.expr, scope: Scope) -> ast.expr | None:
        """Return the expression that a name is bound to, if it is bound once."""
        values = self._values_of(node, scope)
        return values[0] if len(values) == 1 and isinstance(values[0], ast.expr) else None

    def imported(self, node: ast.expr, scope: Scope) -> frozenset[str]:
        """Return the dotted names of what a name, or a member of it, is imported as.

        They are none if the name is bound in another way, too.
        """
        base = node
        while isinstance(base, ast.Attribute):
            base = base.value
        values = self._values_of(base, scope)
        if not isinstance(base, ast.Name) or any(not isinstance(value, str) for value in values):
            return frozenset()
        return self.meanings(node, scope)

    def _values_of(self, node: ast.expr, scope: Scope) -> list[_Value]:
        where: Scope | None = scope if isinstance(node, ast.Name) else None
        while isinstance(node, ast.Name) and where is not None:
            if node.id in where.values:
                return where.values[node.id]
            where = where.outer
        return []

    # --- looking names up ------------------------------------------------------------

    def _meanings_of(self, node: ast.expr, scope: Scope) -> frozenset[str]:
        match node:
            case ast.Name(id=name):
                return self._meanings_of_name(name, scope)
            case ast.Attribute(value=value, attr=attr):
                return _members(self.meanings(value, scope), attr)
            case ast.Call():
                return self._meanings_of_call(node, scope)
            case ast.Subscript(value=value, slice=ast.Constant(value=str(key))):
                return frozenset(_entries(self.meanings(value, scope), key))
            case ast.BinOp(left=left, op=ast.Div()):
                return self.meanings(left, scope)
            case ast.Await(value=value) | ast.NamedExpr(value=value):
                return self.meanings(value, scope)
            case ast.IfExp(body=first, orelse=second):
                return self.meanings(first, scope) | self.meanings(second, scope)
            case ast.BoolOp(values=values):
                return frozenset().union(*(self.meanings(value, scope) for value in values))
        return frozenset()

    def _meanings_of_name(self, name: str, scope: Scope) -> frozenset[str]:
        found: frozenset[str] = frozenset()
        where: Scope | None = scope
        while where is not None:
            if name in where.values:
                found |= self._bound(name, where)
                if where.is_function or (where is self.top and name in self._own):
                    return found
            where = where.outer
        if name == "__builtins__":
            return frozenset({"builtins"})
        if name in _BUILTINS:
            return found | {f"builtins.{name}"}
        return found or frozenset(f"{module}.{name}" for module in self._stars)

    def _bound(self, name: str, scope: Scope) -> frozenset[str]:
        key = (scope, name)
        if key not in self._known:
            self._known[key] = frozenset()  # a name that is bound to itself ends here
            found: set[str] = set()
            for value in scope.values[name]:
                if isinstance(value, str):
                    found.add(value)
                elif value is not None:
                    found |= self.meanings(value, scope)
            self._known[key] = frozenset(found)
        return self._known[key]

    def _meanings_of_call(self, node: ast.Call, scope: Scope) -> frozenset[str]:
        found: set[str] = set()
        first, second = [*node.args[:2], None, None][:2]
        for function in self.meanings(node.func, scope):
            text = self.text(first, scope)
            if function in ("importlib.import_module", "builtins.__import__") and text:
                found.add(text.partition(".")[0] if function.startswith("builtins") else text)
            elif function == "builtins.getattr" and first and (attr := self.text(second, scope)):
                found |= _members(self.meanings(first, scope), attr)
            elif function == "builtins.vars" and first:
                found |= _members(self.meanings(first, scope), "__dict__")
            elif len(function) < _MAX_NAME:
                found.add(f"{function}()")
        return frozenset(found)

    def _texts_of_items(self, items: list[ast.expr], scope: Scope) -> tuple[str, ...] | None:
        found: list[str] = []
        for item in items:
            texts = self.texts(item, scope)
            if texts is None or len(found) > _MAX_MEANINGS:
                return None
            found.extend(texts)
        return tuple(found)

    def _texts_of_name(self, name: str, scope: Scope) -> tuple[str, ...] | None:
        where: Scope | None = scope
        while where is not None and name not in where.values:
            where = where.outer
        match where.values[name] if where else []:
            case [ast.Constant() | ast.List() | ast.Tuple() as value]:
                return self.texts(value, where) if where else None
        return None

    # --- reading the tree ------------------------------------------------------------

    def _scan(self, tree: ast.Module) -> None:
        # Not recursive: a tree may be as deep as its author likes.
        left: list[tuple[ast.AST, Scope]] = [(tree, self.top)]
        while left:
            node, scope = left.pop()
            self.nodes.append((node, scope))
            self._bind(node, scope)
            left.extend(reversed(list(_children(node, scope))))

    def _bind(self, node: ast.AST, scope: Scope) -> None:
        match node:
            case ast.Import():
                self._import(node, scope)
            case ast.ImportFrom():
                self._import_from(node, scope)
            case ast.Assign(targets=targets, value=value):
                for target in targets:
                    self._assign(target, value, scope)
            case ast.AnnAssign(target=target, value=value) if value is not None:
                self._assign(target, value, scope)
            case ast.NamedExpr(target=target, value=value):
                self._assign(target, value, scope)
            case ast.With(items=items) | ast.AsyncWith(items=items):
                for item in items:
                    if item.optional_vars is not None:
                        self._assign(item.optional_vars, item.context_expr, scope)
            case ast.For(target=target) | ast.AsyncFor(target=target):
                self._assign(target, None, scope)
            case (
                ast.FunctionDef(name=name)
                | ast.AsyncFunctionDef(name=name)
                | ast.ClassDef(name=name)
            ):
                scope.bind(name, None)
            case ast.Global(names=names) | ast.Nonlocal(names=names):
                is_global = isinstance(node, ast.Global)
                owner = self.top if is_global else scope.outer or self.top
                scope.elsewhere.update(dict.fromkeys(names, owner))

    def _assign(self, target: ast.expr, value: ast.expr | None, scope: Scope) -> None:
        match target, value:
            case ast.Name(id=name), _:
                scope.bind(name, value)
                if value is not None:
                    self.aliases.add(value)
            case (
                (ast.Tuple(elts=names) | ast.List(elts=names)),
                (ast.Tuple(elts=values) | ast.List(elts=values)),
            ) if len(names) == len(values):
                for one, its in zip(names, values, strict=True):
                    self._assign(one, its, scope)
            case ((ast.Tuple(elts=names) | ast.List(elts=names)), _):
                for one in names:
                    self._assign(one, None, scope)

    def _import(self, node: ast.Import, scope: Scope) -> None:
        for item in node.names:
            self.imports.append(Import(item.name, node.lineno))
            first = item.name.partition(".")[0]
            scope.bind(item.asname or first, item.name if item.asname else first)

    def _import_from(self, node: ast.ImportFrom, scope: Scope) -> None:
        module = "." * node.level + (node.module or "")
        separator = "." if node.module else ""
        for item in node.names:
            target = f"{module}{separator}{item.name}"
            self.imports.append(Import(target, node.lineno))
            if item.name == "*":
                self._stars.append(module)
            else:
                scope.bind(item.asname or item.name, target)


def _defined(body: Sequence[ast.stmt]) -> Iterator[str]:
    """Yield the names that a module surely gives a meaning of its own."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name
        elif isinstance(node, ast.Import | ast.ImportFrom):
            for item in node.names:
                yield item.asname or item.name.partition(".")[0]


def _children(node: ast.AST, scope: Scope) -> Iterator[tuple[ast.AST, Scope]]:
    if not isinstance(node, _Scoped):
        yield from ((child, scope) for child in ast.iter_child_nodes(node))
        return
    name = "<lambda>" if isinstance(node, ast.Lambda) else node.name
    own = Scope(scope, (*scope.path, name), not isinstance(node, ast.ClassDef))
    body = [node.body] if isinstance(node, ast.Lambda) else node.body
    inside: set[ast.AST] = set(body)
    if not isinstance(node, ast.ClassDef):
        # Parameters are inside; their defaults and annotations are evaluated outside.
        parameters = [child for child in ast.walk(node.args) if isinstance(child, ast.arg)]
        for parameter in parameters:
            own.bind(parameter.arg, None)
        outside: list[ast.AST | None] = [*node.args.defaults, *node.args.kw_defaults]
        outside += [parameter.annotation for parameter in parameters]
        yield from ((child, scope) for child in outside if child is not None)
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, ast.arguments):
            yield child, own if child in inside else scope


def _members(owners: frozenset[str], name: str) -> frozenset[str]:
    return frozenset(f"{owner}.{name}" for owner in owners if len(owner) < _MAX_NAME)


def _entries(owners: frozenset[str], key: str) -> Iterator[str]:
    """Yield what a text leads to in the dictionary of a module, or that of all modules."""
    for owner in owners:
        if owner == "sys.modules":
            yield key
        elif owner == "builtins" or owner.endswith(".__dict__"):
            yield f"{owner.removesuffix('.__dict__')}.{key}"
