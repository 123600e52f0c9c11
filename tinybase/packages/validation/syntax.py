"""Reading Python as it is written: definitions, values, and stand-ins for functions."""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from inspect import Parameter, Signature
from typing import Any

Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


def definitions(
    tree: ast.AST, scope: str = "", owner: ast.ClassDef | None = None
) -> Iterator[tuple[Definition, str, ast.ClassDef | None]]:
    """Yield every function and class with its qualified name and the class it is in."""
    for node in blocks(tree):
        if isinstance(node, ast.ClassDef):
            yield node, f"{scope}{node.name}", owner
            yield from definitions(node, f"{scope}{node.name}.", node)
        elif isinstance(node, Function):
            yield node, f"{scope}{node.name}", owner
            yield from definitions(node, f"{scope}{node.name}.<locals>.")
        else:
            yield from definitions(node, scope, owner)


def blocks(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what can hold statements directly in a node.

    Expressions hold none, and may be nested too deeply to be walked into.
    """
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt | ast.ExceptHandler | ast.match_case):
            yield child


def bindings(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Yield what the top level of a module defines or assigns, with the line."""
    for node in tree.body:
        if isinstance(node, Definition):
            yield node.name, node.lineno
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign):
            for part in ast.walk(node):
                if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store):
                    yield part.id, part.lineno


def target_of(decorator: ast.expr) -> ast.expr:
    """Return what a decorator names, called or not."""
    return decorator.func if isinstance(decorator, ast.Call) else decorator


def plain_name(decorator: ast.expr) -> str:
    """Return the name of a decorator that is no attribute of something."""
    target = target_of(decorator)
    return target.id if isinstance(target, ast.Name) else ""


def is_literal(node: ast.expr) -> bool:
    """Say whether a value is written out."""
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, RecursionError, MemoryError):
        return False
    return True


def literal(node: ast.expr, otherwise: Any) -> Any:
    """Return a value that is written out."""
    return ast.literal_eval(node) if is_literal(node) else otherwise


def is_text(node: ast.expr) -> bool:
    """Say whether an expression is surely a text, or several."""
    return isinstance(node, ast.JoinedStr | ast.List | ast.Tuple) or isinstance(
        literal(node, None), str
    )


def is_generator(node: Function) -> bool:
    """Say whether calling a function gives a generator."""
    ahead: list[ast.AST] = list(node.body)
    while ahead:
        part = ahead.pop()
        if isinstance(part, ast.Yield | ast.YieldFrom):
            return True
        if not isinstance(part, Function | ast.Lambda | ast.ClassDef):
            ahead += ast.iter_child_nodes(part)
    return False


def required(node: Function) -> list[str]:
    """Return the parameters that a call by position has to fill."""
    arguments = node.args
    names = [item.arg for item in (*arguments.posonlyargs, *arguments.args)]
    return names[: len(names) - len(arguments.defaults)]


def stand_in(node: Definition, name: str, annotation: Callable[[ast.expr], str]) -> Any:
    """Return something with the kind and the signature of a definition, and no code of it.

    :param annotation: tells what an annotation means.
    """
    if isinstance(node, ast.ClassDef):
        return type(name, (), {})
    copy = _of_kind(node)
    copy.__qualname__ = name
    copy.__signature__ = Signature(list(_parameters(node.args, annotation)))
    return copy


def _of_kind(node: Function) -> Any:
    """Return an empty function; what it is cannot be changed afterwards."""

    def plain() -> None: ...

    def generator() -> Iterator[None]:
        yield

    async def coroutine() -> None: ...

    async def asynchronous_generator() -> Any:
        yield

    if isinstance(node, ast.AsyncFunctionDef):
        return asynchronous_generator if is_generator(node) else coroutine
    return generator if is_generator(node) else plain


def _parameters(
    arguments: ast.arguments, annotation: Callable[[ast.expr], str]
) -> Iterator[Parameter]:
    def parameter(node: ast.arg, kind: Any, *, has_default: bool = False) -> Parameter:
        meaning = annotation(node.annotation) if node.annotation else ""
        default = None if has_default else Parameter.empty
        return Parameter(node.arg, kind, default=default, annotation=meaning or Parameter.empty)

    only_by_position = len(arguments.posonlyargs)
    by_position = [*arguments.posonlyargs, *arguments.args]
    first_default = len(by_position) - len(arguments.defaults)
    for index, item in enumerate(by_position):
        is_only = index < only_by_position
        kind = Parameter.POSITIONAL_ONLY if is_only else Parameter.POSITIONAL_OR_KEYWORD
        yield parameter(item, kind, has_default=index >= first_default)
    if arguments.vararg:
        yield parameter(arguments.vararg, Parameter.VAR_POSITIONAL)
    for item, default in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True):
        yield parameter(item, Parameter.KEYWORD_ONLY, has_default=default is not None)
    if arguments.kwarg:
        yield parameter(arguments.kwarg, Parameter.VAR_KEYWORD)
