"""What functions and handlers are written with."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields
from typing import get_args

from generators.contract import default
from generators.text import code, doc, signature, source_block, table
from tinybase.db.models import Collection, Record, User
from tinybase.extensions import (
    Setting,
    command,
    health_check,
    pass_context,
    public,
    register_blueprint,
    register_collection,
    register_metric,
    register_settings,
    requires,
)
from tinybase.functions import Context, current_context, register
from tinybase.functions.records import ContextRecords
from tinybase.testing import Ended, Running, import_extension, running
from tinybase_hookspecs import (
    Answer,
    BlueprintDeclaration,
    CollectionDeclaration,
    CommandDeclaration,
    FunctionDeclaration,
    HealthCheckDeclaration,
    Identity,
    MetricDeclaration,
    Reject,
    SettingDeclaration,
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


def contributions() -> str:
    """Return what an extension brings besides functions and routes, and how it is declared."""
    lines = ["### `register_settings`", doc(register_settings), "### `Setting`"]
    made = signature(Setting.__init__).replace("__init__(self, ", "Setting(")
    lines += [source_block(made.replace(" -> None", " -> Setting")), doc(Setting)]
    lines += ["### `register_collection`"]
    lines += [source_block(signature(register_collection)), doc(register_collection)]
    lines += ["### `command`", doc(command), "### `pass_context`", doc(pass_context)]
    lines += ["### `register_metric`", source_block(signature(register_metric))]
    lines += [doc(register_metric)]
    for declaration in (
        SettingDeclaration,
        CollectionDeclaration,
        CommandDeclaration,
        MetricDeclaration,
        Identity,
    ):
        lines += [f"### `{declaration.__name__}`", doc(declaration), _fields(declaration)]
    return "\n\n".join(lines)


def records() -> str:
    """Return the methods of ``ctx.records``."""
    return "\n\n".join([doc(ContextRecords), *_methods(ContextRecords, "ctx.records")])


def testing() -> str:
    """Return what tests of extensions are written with."""
    lines = ["### `running`", source_block(signature(running)), doc(running)]
    lines += ["### `import_extension`", source_block(signature(import_extension))]
    lines += [doc(import_extension)]
    lines += ["### `Running`", doc(Running), *_methods(Running, "tinybase")]
    lines += ["### `Ended`", doc(Ended), _fields(Ended)]
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
    rows = [(code(item.name), code(_type(item.type)), default(item)) for item in fields(cls)]
    return table(("Field", "Type", "Default"), rows)


def _type(annotation: object) -> str:
    """Return a type as it is written, wherever its module keeps annotations as they are."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation.__name__
    return str(annotation).replace("typing.", "").replace("uuid.", "")


def _python_type(model: type, name: str) -> str:
    return str(model.__annotations__[name]).removeprefix("Mapped[").removesuffix("]")
