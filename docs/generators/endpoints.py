"""The REST API, from the operations that serve it and their OpenAPI document."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterator, Mapping
from functools import cache
from itertools import groupby
from typing import Any

from generators.text import code, markdown, table
from tinybase import config
from tinybase.api.openapi import build_document
from tinybase.api.operation import Operation, Who
from tinybase.api.registration import operations_of
from tinybase.app import create_app

_WHO: Mapping[Who, str] = {
    Who.PUBLIC: "anybody; a token is not looked at",
    Who.OPEN: "anybody; a token decides what is seen",
    Who.RULE: "whom the collection's access rule admits",
    Who.FUNCTION: "whom the function's level admits",
    Who.USER: "a signed-in user",
    Who.ADMIN: "an admin, or an application token whose scope covers it",
    Who.METRICS: "an admin, or an application token with the scope `metrics`",
    Who.ADMIN_USER: "an admin in person",
}
_LIMITS = ("minLength", "maxLength", "minimum", "maximum", "pattern", "minItems", "maxItems")


def endpoints() -> str:
    """Return every operation, a section for each tag."""
    operations, document = _api()
    lines = []
    for tag, group in groupby(sorted(operations, key=_tag_order), key=lambda o: o.tag):
        lines += [f"### {tag.capitalize()} {{ #tag-{tag} }}"]
        for operation in group:
            lines += _operation(operation, _written(document, operation))
    return "\n\n".join(lines)


def objects() -> str:
    """Return every object that requests and answers are made of."""
    _, document = _api()
    lines = []
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += [f"### `{name}` {{ #{name.lower()} }}", markdown(schema.get("description", ""))]
        lines += [_properties(schema)]
    return "\n\n".join(line for line in lines if line)


@cache
def _api() -> tuple[list[Operation], dict[str, Any]]:
    """Return the operations of an instance with the default configuration."""
    with tempfile.TemporaryDirectory() as folder:
        app = create_app(config.load(folder, {}))
        operations = operations_of(app.extensions["tinybase"])
    return operations, build_document(operations)


def _tag_order(operation: Operation) -> int:
    tags = list(dict.fromkeys(o.tag for o in _api()[0]))
    return tags.index(operation.tag)


def _written(document: dict[str, Any], operation: Operation) -> dict[str, Any]:
    path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", operation.path)
    written: dict[str, Any] = document["paths"][path][operation.method.lower()]
    return {**written, "path": path}


def _operation(operation: Operation, written: dict[str, Any]) -> Iterator[str]:
    yield f"#### `{operation.method} {written['path']}` {{ #{operation.id} }}"
    yield f"{markdown(operation.summary)} Operation id `{operation.id}`."
    if operation.description:
        yield markdown(re.sub(r"\n +", "\n", operation.description))
    facts = [("Who", _WHO[operation.who])]
    facts += [("Query", ", ".join(_parameters(written, "query")))]
    facts += [("Headers", ", ".join(_parameters(written, "header")))]
    facts += [("Body", _body(written))]
    facts += [("Answers", ", ".join(_answers(written)))]
    facts += [("Own errors", ", ".join(_error(name) for name in operation.errors))]
    yield "\n".join(f"* {name}: {value}" for name, value in facts if value)


def _parameters(written: dict[str, Any], place: str) -> Iterator[str]:
    for parameter in written.get("parameters", ()):
        if parameter["in"] == place:
            yield f"{code(parameter['name'])}{_of(parameter.get('schema', {}))}"


def _of(schema: dict[str, Any]) -> str:
    known = _type(schema)
    return f" ({known})" if known else ""


def _body(written: dict[str, Any]) -> str:
    content = written.get("requestBody", {}).get("content", {})
    return ", ".join(_type(entry["schema"]) for entry in content.values())


def _answers(written: dict[str, Any]) -> Iterator[str]:
    for status, answer in written["responses"].items():
        if isinstance(answer, dict) and status < "400":
            content = answer.get("content", {})
            shown = [_type(entry["schema"]) for entry in content.values()]
            yield " ".join([f"**{status}**", *shown])


def _error(name: str) -> str:
    return f"[`{name}`](errors.md#{name})"


def _properties(schema: dict[str, Any]) -> str:
    required = schema.get("required", ())
    rows = [
        (code(name), _type(item), "yes" if name in required else "")
        for name, item in schema.get("properties", {}).items()
    ]
    return table(("Field", "Type", "Required"), rows) if rows else ""


def _type(schema: dict[str, Any]) -> str:
    """Describe the type of a value in a few words."""
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[`{name}`](#{name.lower()})"
    if "anyOf" in schema or "allOf" in schema:
        return " or ".join(filter(None, map(_type, schema.get("anyOf") or schema["allOf"])))
    if "enum" in schema:
        return ", ".join(code(value) for value in schema["enum"])
    kinds = schema.get("type", "any")
    kinds = kinds if isinstance(kinds, list) else [kinds]
    if "array" in kinds:
        return f"list of {_type(schema.get('items', {}))}"
    words = " or ".join(str(kind) for kind in kinds)
    return ", ".join([words, *_limits(schema)])


def _limits(schema: dict[str, Any]) -> Iterator[str]:
    if "format" in schema:
        yield str(schema["format"])
    for name in _LIMITS:
        if name in schema:
            yield f"{name} {code(schema[name])}"
    if schema.get("default") is not None:
        yield f"default {code(schema['default'])}"
