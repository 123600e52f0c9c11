"""The bases of all request and answer schemas, and how their faults are told.

A schema's class name is its component name in the OpenAPI document. Declare fields with
:mod:`tinybase.api.fields`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
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

_MOST_KEPT = 200
_LONGEST_KEPT = 100


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

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._known: dict[tuple[tuple[str, str], ...], Mapping[str, Any]] = {}

    def read(self, given: Mapping[str, str | list[str]]) -> dict[str, Any]:
        """Return what the given parameters mean, and the defaults of the others.

        It is kept for the next request: programs ask for the same few kinds of pages.

        :raises ValidationError: for values that do not fit.
        """
        if not given:
            return dict(self.defaults)
        texts = tuple([(key, text) for key, text in given.items() if isinstance(text, str)])
        if len(texts) < len(given) or sum([len(text) for _, text in texts]) > _LONGEST_KEPT:
            return dict(self.load(given))
        known = self._known.get(texts)
        if known is None:
            known = self.load(given)
            if len(self._known) >= _MOST_KEPT:
                self._known.clear()
            self._known[texts] = known
        return dict(known)

    @cached_property
    def defaults(self) -> Mapping[str, Any]:
        """Return what a query string without any parameter means.

        :raises ValidationError: when there must be one.
        """
        loaded: Mapping[str, Any] = self.load({})
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
