"""``[[extension.collections]]``: collections that an extension declares in its manifest."""

from __future__ import annotations

import difflib
import json
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from tinybase import foreign_toml
from tinybase.errors import Fault, Invalid
from tinybase_hookspecs import CollectionDeclaration

FILE_NAME: Final = "extension.toml"
KEYS: Final = ("name", "fields", "access", "options", "guarded")

_TABLE: Final = ("extension", "collections")
_EXAMPLE: Final = (
    'Write [[extension.collections]], and below it name = "orders" and '
    'fields = [{ name = "item", type = "string" }]'
)

Where = tuple[str | int, ...]


def collections_in(manifest: str) -> tuple[CollectionDeclaration, ...]:
    """Return the collections that the text of a manifest declares.

    A manifest that is no TOML declares none; it is refused where extensions are installed.

    :raises Invalid: ``manifest_invalid``, with every fault and its remedy.
    """
    try:
        table = foreign_toml.loads(manifest).get("extension")
    except tomllib.TOMLDecodeError:
        return ()
    found, faults = read_collections(table if isinstance(table, dict) else {})
    if faults:
        raise Invalid(faults, code="manifest_invalid")
    return found


def read_collections(
    table: Mapping[str, Any],
) -> tuple[tuple[CollectionDeclaration, ...], list[Fault]]:
    """Return the collections in the table ``extension``, and what is wrong with their tables.

    Whether a schema is good is for whoever makes the collections to say.
    """
    value = table.get("collections", [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return (), [_fault(_TABLE, f"is a list of tables. {_EXAMPLE}")]
    faults = [fault for index, item in enumerate(value) for fault in _faults(index, item)]
    faults += _named_twice(value)
    return () if faults else tuple(map(_declaration, value)), faults


def place_of(index: int, loc: Where) -> Where:
    """Return where in the manifest it is that ``POST /api/collections`` would find fault with.

    :param loc: leads to it in the body of the request.
    """
    match loc:
        case ("body", "schema", *rest):
            pass
        case ("body", "options", "access", *rest):
            rest = ["access", *rest]
        case ("body", *rest):
            pass
        case _:
            rest = list(loc)
    return (FILE_NAME, *_TABLE, index, *rest)


def _declaration(table: Mapping[str, Any]) -> CollectionDeclaration:
    options = dict(table.get("options", {}))
    if "access" in table:
        options["access"] = {**options.get("access", {}), **table["access"]}
    schema = {"fields": table.get("fields", [])}
    return CollectionDeclaration(table["name"], schema, options, table.get("guarded", False))


def _faults(index: int, table: Mapping[str, Any]) -> Iterator[Fault]:
    """Yield what keeps a table from being a declaration."""
    here: Where = (*_TABLE, index)
    for key in sorted(table.keys() - set(KEYS)):
        near = difflib.get_close_matches(key, KEYS, n=1)
        hint = f"Did you mean {near[0]}" if near else f"Known are {', '.join(KEYS)}"
        yield _fault((*here, key), f"is not a key of a collection. {hint}", "unknown_key")
    if "name" not in table:
        yield _fault((*here, "name"), f"is missing. {_EXAMPLE}", "missing")
    for key, kind, remedy in (
        ("name", str, 'is a text. Write name = "orders"'),
        ("fields", list, 'is a list. Write fields = [{ name = "item", type = "string" }]'),
        ("access", dict, 'is a table of rules. Write access = { read = "auth" }'),
        ("options", dict, "is a table. Write options = { require_if_match = true }"),
        ("guarded", bool, "is true or false. Write guarded = true"),
    ):
        if key in table and not isinstance(table[key], kind):
            yield _fault((*here, key), remedy)
    options = table.get("options")
    if isinstance(options, dict) and not isinstance(options.get("access", {}), dict):
        remedy = 'is a table of rules. Write access = { read = "auth" }'
        yield _fault((*here, "options", "access"), remedy)
    for key, value in table.items():
        yield from _not_json((*here, key), value)


def _not_json(loc: Where, value: object) -> Iterator[Fault]:
    """Yield what TOML has and a schema cannot have, such as a date."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _not_json((*loc, key), item)
    elif isinstance(value, list):
        for number, item in enumerate(value):
            yield from _not_json((*loc, number), item)
    else:
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError):
            yield _fault(loc, "has no equal in JSON. Write dates and times in quotes")


def _named_twice(tables: list[dict[str, Any]]) -> Iterator[Fault]:
    seen: list[object] = []
    for index, table in enumerate(tables):
        name = table.get("name")
        if name in seen:
            yield _fault((*_TABLE, index, "name"), f"is {name} again. Keep one of the two tables")
        seen.append(name)


def _fault(loc: Where, msg: str, kind: str = "type") -> Fault:
    return Fault((FILE_NAME, *loc), f"{msg}.", kind)
