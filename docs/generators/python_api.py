"""What functions and handlers are written with."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields

from generators.contract import default
from generators.text import code, doc, signature, source_block, table
from tinybase.db.models import Collection, Record, User
from tinybase.extensions import health_check, public, register_blueprint, requires
from tinybase.functions import Context, current_context, register
from tinybase.functions.records import ContextRecords
from tinybase.testing import Running, running
from tinybase_hookspecs import (
    Answer,
    BlueprintDeclaration,
    FunctionDeclaration,
    HealthCheckDeclaration,
    Reject,
)


def functions() -> str:
    """Return what a function is declared with and what it is given."""
    return "\n\n".join(
        [
            "### `register`",
            source_block(f"@{signature(register)}"),
            doc(register),
            "### `Context`",
            doc(Context),
            _fields(Context),
            "### `Reject`",
            source_block(signature(Reject.__init__).replace("__init__(self, ", "Reject(")),
            doc(Reject),
            "### `FunctionDeclaration`",
            doc(FunctionDeclaration),
            _fields(FunctionDeclaration),
        ]
    )


def routes() -> str:
    """Return what an extension serves requests with."""
    lines = []
    for function, mark in (
        (register_blueprint, ""),
        (requires, "@"),
        (public, "@"),
        (current_context, ""),
        (health_check, "@"),
    ):
        lines += [f"### `{function.__name__}`"]
        lines += [source_block(f"{mark}{signature(function)}"), doc(function)]
    for declaration in (BlueprintDeclaration, HealthCheckDeclaration, Answer):
        lines += [f"### `{declaration.__name__}`", doc(declaration), _fields(declaration)]
    return "\n\n".join(lines)


def records() -> str:
    """Return the methods of ``ctx.records``."""
    return "\n\n".join([doc(ContextRecords), *_methods(ContextRecords, "ctx.records")])


def testing() -> str:
    """Return what tests of extensions are written with."""
    lines = ["### `running`", source_block(signature(running)), doc(running)]
    lines += ["### `Running`", doc(Running), *_methods(Running, "tinybase")]
    return "\n\n".join(lines)


def models() -> str:
    """Return the models that extensions may read."""
    lines = []
    for model in (Record, Collection, User):
        rows = [
            (code(column.name), code(_python_type(model, column.key)))
            for column in model.__table__.columns
        ]
        lines += [f"### `{model.__name__}`", doc(model), table(("Column", "Type"), rows)]
    return "\n\n".join(lines)


def _methods(cls: type, name: str) -> Iterator[str]:
    """Yield every public method, called on something of that name."""
    for method in vars(cls).values():
        if inspect.isfunction(method) and not method.__name__.startswith("_"):
            yield f"#### `{name}.{method.__name__}`"
            yield source_block(f"{name}.{signature(method).replace('(self, ', '(')}")
            yield doc(method)


def _fields(cls: type) -> str:
    rows = [(code(item.name), code(item.type), default(item)) for item in fields(cls)]
    return table(("Field", "Type", "Default"), rows)


def _python_type(model: type, name: str) -> str:
    return str(model.__annotations__[name]).removeprefix("Mapped[").removesuffix("]")
