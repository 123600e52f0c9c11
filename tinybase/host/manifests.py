"""What the manifest of an installed extension says about its handlers and its collections.

It was checked when the extension was installed, unless somebody else installed it. So an
order that cannot be understood is passed over; the extension works without it, which it does
not without its collections.
"""

from __future__ import annotations

import tomllib
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any, Final

from tinybase import foreign_toml
from tinybase.extensions.rows import Order
from tinybase.manifest_collections import collections_in
from tinybase_hookspecs import CollectionDeclaration

FILE_NAME: Final = "extension.toml"

_MAX_BYTES = 64 * 1024


def order_of(distribution: Distribution, package: str) -> Order:
    """Return whom the handlers of an extension are called before and after."""
    try:
        document = foreign_toml.loads(_text(distribution, package))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError):
        return Order()
    order = _table(_table(document, "extension"), "order")
    return Order(before=_names(order.get("before")), after=_names(order.get("after")))


def collections_of(distribution: Distribution, package: str) -> tuple[CollectionDeclaration, ...]:
    """Return the collections that the manifest of an extension declares.

    :raises Invalid: ``manifest_invalid``.
    """
    try:
        return collections_in(_text(distribution, package))
    except (OSError, UnicodeDecodeError):
        return ()


def _text(distribution: Distribution, package: str) -> str:
    """Return the manifest: it is in the package, or with the metadata of one being written."""
    noted = distribution.read_text(FILE_NAME)
    if noted is not None:
        return noted[:_MAX_BYTES]
    path = Path(str(distribution.locate_file(f"{package}/{FILE_NAME}")))
    if not path.is_file() or path.stat().st_size > _MAX_BYTES:
        return ""
    return path.read_text("utf-8-sig")


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    table = document.get(key)
    return table if isinstance(table, dict) else {}


def _names(value: object) -> tuple[str, ...]:
    names = [value] if isinstance(value, str) else value
    if not isinstance(names, list):
        return ()
    return tuple(name for name in names if isinstance(name, str) and name)
