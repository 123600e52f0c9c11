"""The collections of an extension, as far as their declarations are written out."""

from __future__ import annotations

import ast
import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from tinybase import foreign_toml
from tinybase.manifest_collections import FILE_NAME, read_collections
from tinybase.packages.inspection.findings import OwnCollection, OwnField
from tinybase.packages.inspection.names import Module, Scope

_TABLE: Final = re.compile(r"\s*\[\[\s*extension\s*\.\s*collections\s*\]\]")
_IN_OWN_WORDS: Final = frozenset({"name", "type", "required", "unique", "default"})
_DEEPEST: Final = 20


class _ComputedError(Exception):
    """A value is computed when the module is imported."""


def in_manifest(name: str, content: bytes) -> Iterator[OwnCollection]:
    """Yield the collections that a manifest declares; one that is refused declares none."""
    if name.rpartition("/")[2] != FILE_NAME:
        return
    try:
        text = content.decode("utf-8-sig")
        table = foreign_toml.loads(text).get("extension")
    except (UnicodeDecodeError, tomllib.TOMLDecodeError):
        return
    found, _ = read_collections(table if isinstance(table, dict) else {})
    numbers = (number for number, line in enumerate(text.splitlines(), 1) if _TABLE.match(line))
    for item in found:
        fields = _fields(item.schema)
        yield OwnCollection(name, next(numbers, 0), item.name, fields, is_guarded=item.guarded)


def in_call(file: str, call: ast.Call, module: Module, scope: Scope) -> OwnCollection:
    """Return the collection that a call declares."""
    given = {str(item.arg): item.value for item in call.keywords}
    given |= dict(zip(("name", "schema"), call.args, strict=False))
    guarded = given.get("guarded")
    return OwnCollection(
        file,
        call.lineno,
        module.text(given.get("name"), scope),
        _written_fields(given.get("schema"), module, scope),
        is_guarded=isinstance(guarded, ast.Constant) and guarded.value is True,
    )


def _written_fields(
    schema: ast.expr | None, module: Module, scope: Scope
) -> tuple[OwnField, ...] | None:
    if schema is None:
        return None
    try:
        return _fields(_value(schema, module, scope, _DEEPEST))
    except _ComputedError:
        return None


def _value(node: ast.expr, module: Module, scope: Scope, depth: int) -> Any:
    """Return what an expression means that is made of constants and names of such."""
    if not depth:
        raise _ComputedError
    match node:
        case ast.Constant(value=value):
            return value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, module, scope, depth - 1) for item in items]
        case ast.Dict(keys=keys, values=values) if None not in keys:
            pairs = zip(keys, values, strict=True)
            return {
                str(_value(key, module, scope, depth - 1)): _value(value, module, scope, depth - 1)
                for key, value in pairs
                if key is not None
            }
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as number)):
            return -number
        case ast.Name() if (bound := module.value_of(node, scope)) is not None:
            return _value(bound, module, scope, depth - 1)
    raise _ComputedError


def _fields(schema: object) -> tuple[OwnField, ...] | None:
    """Return the fields of a schema, or ``None`` for what is none."""
    fields = schema.get("fields", ()) if isinstance(schema, Mapping) else None
    if not isinstance(fields, Sequence) or isinstance(fields, str):
        return None
    if not all(isinstance(field, Mapping) for field in fields):
        return None
    return tuple(_field(field) for field in fields)


def _field(field: Mapping[str, Any]) -> OwnField:
    more = {key: value for key, value in field.items() if key not in _IN_OWN_WORDS}
    return OwnField(
        name=str(field.get("name", "")),
        type=str(field.get("type", "string")),
        is_required=field.get("required") is True,
        is_unique=field.get("unique") is True,
        has_default="default" in field,
        more=json.dumps(more, sort_keys=True, default=str) if more else "",
    )
