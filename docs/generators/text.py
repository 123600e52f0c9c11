"""Turning Python's own words – docstrings and signatures – into Markdown."""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterable, Sequence
from typing import Any

_WIDTH = 88
_ROLE = re.compile(r":\w+:`~?(?:[\w.]+\.)?(\w+)`")
_BLOCK = re.compile(r"^::\n\n", re.MULTILINE)
_TERM = re.compile(r"^(`\w+`)\n {4}(?=\S)", re.MULTILINE)
_DEFAULT = re.compile(r"(: (?:[^,=\[\]]|\[[^\]]*\])+)=")
_FIELD = re.compile(r"^:(param|raises) (\w+):", re.MULTILINE)


def doc(thing: object) -> str:
    """Return the docstring of a thing as Markdown."""
    return markdown(inspect.getdoc(thing) or "")


def markdown(text: str) -> str:
    """Rewrite the little reStructuredText that docstrings use."""
    text = _ROLE.sub(r"`\1`", text).replace("``", "`")
    text = _BLOCK.sub("", text)
    text = _TERM.sub(r"\n\1\n:   ", text)
    head, fields = _split_fields(text)
    return "\n".join([head.rstrip(), "", *map(_field, fields)]).strip()


def signature(function: Callable[..., Any]) -> str:
    """Return name, parameters and result as they are written in the source."""
    node = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    assert isinstance(node, ast.FunctionDef)  # noqa: S101 - a narrowing
    _drop_traps(node.args)
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    arguments = _DEFAULT.sub(r"\1 = ", ast.unparse(node.args))
    return f"{node.name}({arguments}){returns}"


def source_block(text: str) -> str:
    """Return a signature as a block of code, a parameter a line if it is long."""
    if len(text) > _WIDTH:
        head, inner, tail = _around_arguments(text)
        text = "\n".join([head, *(f"    {item}," for item in _arguments(inner)), tail])
    return f"```py\n{text}\n```"


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(_cell(cell) for cell in line)} |" for line in lines)


def code(value: object) -> str:
    """Return a value as inline code."""
    return f"`{value}`"


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", r"\|")


def _split_fields(text: str) -> tuple[str, list[str]]:
    """Take the ``:param x:`` paragraphs off the end of a docstring."""
    found = _FIELD.search(text)
    if found is None:
        return text, []
    head, tail = text[: found.start()], text[found.start() :]
    return head, re.split(r"\n(?=:)", tail)


def _field(text: str) -> str:
    """Make a list item of ``:param x: what it is``."""
    line = " ".join(text.split())
    line = re.sub(r"^:param (\w+):", r"* `\1` –", line)
    return re.sub(r"^:raises (\w+):", r"* Raises `\1`", line)


def _drop_traps(arguments: ast.arguments) -> None:
    """Leave out parameters that exist only to be refused with a helpful message."""
    if arguments.vararg and ast.unparse(arguments.vararg).endswith(": Never"):
        arguments.vararg = None
    if arguments.kwarg and ast.unparse(arguments.kwarg).endswith(": Never"):
        arguments.kwarg = None


def _around_arguments(text: str) -> tuple[str, str, str]:
    """Split ``name(arguments) -> result`` into three."""
    head, _, rest = text.partition("(")
    inner, _, tail = rest.rpartition(") ->")
    return f"{head}(", inner, f") ->{tail}"


def _arguments(text: str) -> list[str]:
    """Split at the commas that are in no brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "[(") - (character in "])")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts]
