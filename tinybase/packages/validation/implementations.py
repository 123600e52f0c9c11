"""Raw hookimpls: plain pluggy implementations, compared with the contract."""

from __future__ import annotations

import ast
import difflib
import inspect
from collections.abc import Iterator
from typing import Any

import tinybase_hookspecs
from tinybase.host.kinds import HOOKS
from tinybase.packages.validation.findings import Finding, error, warning
from tinybase.packages.validation.syntax import (
    Definition,
    Function,
    is_generator,
    literal,
    plain_name,
    required,
)
from tinybase_hookspecs import hookimpl


def implementation_faults(
    file: str, decorator: ast.expr, definition: Definition, owner: ast.ClassDef | None
) -> Iterator[Finding]:
    """Yield what is wrong with a function that is marked as an implementation of a hook."""
    keywords = decorator.keywords if isinstance(decorator, ast.Call) else []
    if isinstance(definition, ast.ClassDef) or any(item.arg is None for item in keywords):
        return
    line = decorator.lineno
    options = {str(item.arg): literal(item.value, otherwise=None) for item in keywords}
    try:
        hookimpl(**options)
    except TypeError as refused:
        known = ", ".join(list(inspect.signature(hookimpl.__call__).parameters)[1:])
        yield error(file, line, "hookimpl", f"@hookimpl: {refused}", f"It takes {known}.")
        return
    hook = options.get("specname") or definition.name
    if not isinstance(hook, str):
        message, remedy = "@hookimpl: specname is a text", f'Write specname="{min(HOOKS)}".'
        yield error(file, line, "hookimpl", message, remedy)
    elif hook in HOOKS:
        yield from _misfits(file, definition, hook, options, owner)
    elif not options.get("optionalhook"):
        near = difflib.get_close_matches(hook, HOOKS, n=1)
        remedy = f"Write {near[0]}." if near else f"The hooks are {', '.join(sorted(HOOKS))}."
        message = f"{definition.name} implements {hook}, which is no hook"
        yield error(file, line, "unknown-hook", message, remedy)


def unmarked_implementation(
    file: str, definition: Definition, owner: ast.ClassDef | None
) -> Iterator[Finding]:
    """Yield a function that has the name of a hook, but is not marked."""
    is_plain = not isinstance(definition, ast.ClassDef) and not definition.decorator_list
    if is_plain and owner is None and definition.name in HOOKS:
        message = f"{definition.name} has the name of a hook and no marker, so nothing calls it"
        remedy = "Put @hookimpl of tinybase.extensions above it."
        yield warning(file, definition.lineno, "hookimpl", message, remedy)


def _misfits(
    file: str, function: Function, hook: str, options: dict[str, Any], owner: ast.ClassDef | None
) -> Iterator[Finding]:
    name, line = function.name, function.lineno
    taken = required(function)
    if owner is not None and "staticmethod" not in map(plain_name, function.decorator_list):
        taken = taken[1:]
    given = list(inspect.signature(getattr(tinybase_hookspecs, hook)).parameters)
    if unknown := [item for item in taken if item not in given]:
        message = f"{name} takes {', '.join(unknown)}, which {hook} does not give"
        yield error(file, line, "hookimpl", message, f"Write {name}({', '.join(given)}).")
    is_wrapper = bool(options.get("wrapper") or options.get("hookwrapper"))
    if is_generator(function) and not is_wrapper:
        message = f"{name} is a generator, so its body would never run"
        yield error(file, line, "hookimpl", message, "Remove the yield, or add wrapper=True.")
    if is_wrapper and not is_generator(function):
        message = f"{name} is a wrapper without a yield"
        yield error(file, line, "hookimpl", message, "Write result = yield, or drop wrapper=True.")
