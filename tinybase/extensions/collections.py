"""``register_collection``: a collection that belongs to an extension."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

from tinybase.extensions.rows import note_declaration
from tinybase.extensions.signatures import HandlerError
from tinybase_hookspecs import CollectionDeclaration


def register_collection(
    name: str,
    schema: Mapping[str, Any],
    options: Mapping[str, Any] | None = None,
    *,
    guarded: bool = False,
    **access: str,
) -> str:
    """Declare a collection that belongs to the extension; return its name.

    ::

        ORDERS = register_collection(
            "orders",
            {"fields": [{"name": "item", "type": "string", "required": True}]},
            read="auth",
        )

    It is made when the extension is enabled, before its ``on_startup``. A later version that
    declares more fields has them added; nothing is ever taken away, and what an operator changes
    stays. The collection and its records stay too when the extension is disabled or
    uninstalled; ``tinybase extensions uninstall --purge`` drops them.

    :param schema: what ``POST /api/collections`` takes.
    :param options: likewise; they hold when the collection is made, later they are the
        operator's.
    :param guarded: answer everybody but admins 503 while the extension does not run, because
        its hooks are part of what protects the records.
    :param access: the rules in the options, such as ``read="public"``.
    :raises HandlerError: for a use that cannot work; the message says how to mend it.
    """
    if not isinstance(name, str) or not isinstance(schema, Mapping):
        raise HandlerError(
            "register_collection takes a name and a schema. Write "
            'register_collection("orders", {"fields": [{"name": "item", "type": "string"}]}).'
        )
    if not isinstance(guarded, bool):
        raise HandlerError(
            f"the collection {name!r}: guarded is True or False. Write guarded=True."
        )
    given = dict(options or {})
    if access:
        given["access"] = {**given.get("access", {}), **access}
    # The module in which the call is written decides to whom the collection belongs.
    frame = sys._getframe(1)  # noqa: SLF001
    declaration = CollectionDeclaration(name, schema, given, guarded)
    note_declaration("tinybase_register_collections", declaration, frame)
    return name
