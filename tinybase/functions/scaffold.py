"""``tinybase functions new``: a function to begin with."""

from __future__ import annotations

import json
import keyword
import re
from pathlib import Path

from tinybase.errors import BadRequest, Conflict
from tinybase.extensions.signatures import HandlerError
from tinybase.functions.registration import check_declaration
from tinybase_hookspecs import FunctionDeclaration

_TEMPLATE = '''\
"""The server function {name}."""

from pydantic import BaseModel

from tinybase.functions import Context, register


class {prefix}Input(BaseModel):
    """What a client sends."""

    name: str = "World"


class {prefix}Output(BaseModel):
    """What a client gets."""

    message: str


@register(
    name={quoted_name},
    description={quoted_description},
    auth={quoted_auth},
    input_model={prefix}Input,
    output_model={prefix}Output,
)
def {identifier}(ctx: Context, payload: {prefix}Input) -> {prefix}Output:
    """Answer POST /api/functions/{name}.

    ctx.records reads and writes records, ctx.db is a database session, ctx.user_id
    is who calls.
    """
    ctx.log.info("{name} was called by %s", ctx.user_id)
    return {prefix}Output(message=f"Hello, {{payload.name}}!")
'''


def function_source(name: str, description: str = "", auth: str = "auth") -> str:
    """Return the source of a function that works and shows how to go on.

    :raises BadRequest: for a name or a level that no function can have.
    """
    try:
        check_declaration(FunctionDeclaration(name, lambda: None, description, auth))
    except HandlerError as error:
        raise BadRequest(str(error)) from error
    return _TEMPLATE.format(
        name=name,
        identifier=_identifier(name),
        prefix=_prefix(name),
        quoted_name=json.dumps(name),
        quoted_description=json.dumps(description or f"The function {name}", ensure_ascii=False),
        quoted_auth=json.dumps(auth),
    )


def write_function(folder: Path, name: str, description: str = "", auth: str = "auth") -> Path:
    """Write a new function into the ``functions`` folder of an instance; return the file.

    :raises BadRequest: for a name or a level that no function can have.
    :raises Conflict: if the file exists; it is left alone.
    """
    source = function_source(name, description, auth)
    path = folder / f"{_identifier(name)}.py"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(source)
    except FileExistsError as error:
        raise Conflict(f"{path} exists already. Choose another name, or edit that file.") from error
    return path


def _identifier(name: str) -> str:
    """Return a Python name close to that of a function."""
    identifier = name.replace("-", "_").lstrip("_") or "function"
    is_plain = identifier.isidentifier() and not keyword.iskeyword(identifier)
    return identifier if is_plain else f"function_{identifier}"


def _prefix(name: str) -> str:
    """Return the beginning of the names of its models."""
    words = "".join(word[:1].upper() + word[1:] for word in re.split(r"[-_]+", name))
    return words if words.isidentifier() else f"Function{words}"
