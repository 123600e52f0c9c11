"""The bases of all request and answer schemas, and how their faults are told.

A schema's class name is its component name in the OpenAPI document. Declare fields with
:mod:`tinybase.api.fields`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar

import marshmallow
from marshmallow import INCLUDE, post_load

from tinybase.api import fields
from tinybase.api.messages import Message
from tinybase.errors import Fault

__all__ = ["AnyObject", "Message", "Patch", "Query", "Schema", "fields", "load_faults"]

_MOST_FAULTS = 100
_MESSAGES: dict[str, str] = {
    "unknown": Message("Unknown field.", "unknown_field"),
    "type": Message("Must be a JSON object.", "invalid_type"),
}


class Schema(marshmallow.Schema):
    """A fixed set of keys; one that it does not declare is a fault.

    ``component`` overrides the name in the OpenAPI document.
    """

    is_query: ClassVar[bool] = False
    component: ClassVar[str | None] = None

    error_messages = _MESSAGES


class Query(Schema):
    """The parameters of a query string. A key may be repeated where its field is a list."""

    is_query = True

    def complete(
        self,
        loaded: dict[str, Any],
        pairs: Sequence[tuple[str, str]],  # noqa: ARG002
    ) -> dict[str, Any]:
        """Return what the view gets; it is kept for the next request that asks for the same.

        :param pairs: the whole query string, also what is not declared.
        :raises TinyBaseError: for what cannot be meant.
        """
        return loaded


class Patch(Schema):
    """A change: every key may be absent, and ``null`` means the same as absent."""

    def on_bind_field(
        self,
        field_name: str,  # noqa: ARG002
        field_obj: marshmallow.fields.Field[Any],
    ) -> None:
        """Let every field be absent or null."""
        field_obj.required = False
        field_obj.allow_none = True

    @post_load
    def _drop_nulls(self, data: dict[str, Any], **_: Any) -> dict[str, Any]:
        return {key: value for key, value in data.items() if value is not None}


class AnyObject(Schema):
    """A JSON object with any keys; it is not looked into here."""

    class Meta:
        unknown = INCLUDE


def load_faults(messages: Any, place: str) -> list[Fault]:
    """Turn what marshmallow complains about into faults that lead from ``place``."""
    found: list[Fault] = []
    for fault in _walk(messages, (place,)):
        found.append(fault)
        if len(found) == _MOST_FAULTS:
            break
    return found


def _walk(messages: Any, loc: tuple[str | int, ...]) -> Iterator[Fault]:
    if isinstance(messages, Mapping):
        for key, value in messages.items():
            yield from _walk(value, loc if key == "_schema" else (*loc, key))
    elif isinstance(messages, list):
        for message in messages:
            yield from _walk(message, loc)
    else:
        yield Fault(loc, str(messages), getattr(messages, "type", "invalid"))
