"""The example of every hook, taken from ``docs/examples/every_hook.py``, which the tests run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "examples" / "every_hook.py"

_HEADING = re.compile(r"^# (tinybase_\w+)$", re.MULTILINE)
_WIDTH = 88
_TALL = ("@", "class ", "def ")


def examples() -> dict[str, str]:
    """Return the example of each hook, as a module of its own."""
    head, *parts = _HEADING.split(FILE.read_text("utf-8"))
    shared = ast.parse(head).body[1:]
    return {
        hook: _module(shared, text.strip())
        for hook, text in zip(parts[::2], parts[1::2], strict=True)
    }


def _module(shared: list[ast.stmt], text: str) -> str:
    """Return some code with what it needs of what all examples share in front of it."""
    wanted = _names(ast.parse(text))
    statements = []
    for statement in reversed(shared):
        if isinstance(statement, ast.Import | ast.ImportFrom):
            continue
        if {node.id for node in ast.walk(statement) if _is_bound(node)} & wanted:
            statements.insert(0, ast.unparse(statement))
            wanted |= _names(statement)
    groups = ["\n".join(group) for group in _imports(shared, wanted)]
    above = "\n\n".join([*groups, *statements])
    return f"{above}\n\n\n{text}" if text.startswith(_TALL) else f"{above}\n\n{text}"


def _imports(shared: list[ast.stmt], wanted: set[str]) -> Iterator[list[str]]:
    """Yield the imports that are needed: those of Python, of others, and of TinyBase."""
    groups: dict[str, list[str]] = {"plain": [], "foreign": [], "tinybase": []}
    for statement in shared:
        if isinstance(statement, ast.Import):
            kind = "foreign" if statement.names[0].name == "click" else "plain"
            lines = [f"import {item.name}" for item in statement.names if item.name in wanted]
        elif isinstance(statement, ast.ImportFrom):
            module = statement.module or ""
            kind = "tinybase" if module.startswith("tinybase") else "foreign"
            names = [item.name for item in statement.names if item.name in wanted]
            lines = [_from(module, names)] if names else []
        else:
            continue
        groups[kind] += lines
    yield from (group for group in groups.values() if group)


def _from(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in names), ")"])


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _is_bound(node: ast.AST) -> bool:
    return isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
