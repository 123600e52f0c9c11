"""What the host expects of an implementation of each hook."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import tinybase_hookspecs

PROJECT: Final = "project"
"""The owner of handlers and functions that are the operator's own code."""

HOOKS: Final = frozenset(n for n in tinybase_hookspecs.__all__ if n.startswith("tinybase_"))
"""The names of all hooks of the contract."""

COLLECTING: Final = frozenset(name for name in HOOKS if name.startswith("tinybase_register_"))
"""The hooks that are called while extensions are loaded, where a failure is the loader's."""

IN_TRANSACTION: Final = frozenset(
    {
        "tinybase_before_collection_create",
        "tinybase_before_collection_delete",
        "tinybase_before_collection_update",
        "tinybase_before_record_create",
        "tinybase_before_record_delete",
        "tinybase_before_record_update",
        "tinybase_before_user_register",
        "tinybase_can_access",
        "tinybase_on_record_write",
        "tinybase_redact_record",
    }
)
"""The hooks that are called while a transaction is open, or may be; it ends with their failure."""

DECIDING: Final = IN_TRANSACTION | {
    "tinybase_authenticate",
    "tinybase_before_function_call",
    "tinybase_before_request",
    "tinybase_before_user_login",
    "tinybase_filter_records",
    "tinybase_token_claims",
}
"""The hooks without whose answer the host does not go on: a failure is the client's answer."""

ASKED: Final = DECIDING | {
    "tinybase_after_request",
    "tinybase_on_function_call",
    "tinybase_register_metrics",
}
"""The hooks whose implementations the host waits for one by one, each a bounded time.

That of metrics is here for the collectors that were contributed through it.
"""

LIFECYCLE: Final = frozenset({"tinybase_on_shutdown", "tinybase_on_startup"})
"""The hooks that are called with a deadline for all implementations of an extension together."""

REJECTABLE: Final = DECIDING | {"tinybase_on_function_call"}
"""The hooks whose implementations may raise ``Reject``."""

CHANGEABLE: Final[Mapping[str, str]] = {
    "tinybase_after_request": "headers",
    "tinybase_before_collection_create": "data",
    "tinybase_before_collection_update": "data",
    "tinybase_before_function_call": "payload",
    "tinybase_before_record_create": "data",
    "tinybase_before_record_update": "data",
    "tinybase_before_user_register": "data",
    "tinybase_redact_record": "data",
}
"""The field of the event that implementations may change, in place or by returning another."""
