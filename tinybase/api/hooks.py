"""What the handlers of extensions are, and how they do."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from typing import Any

from tinybase.api import fields
from tinybase.api.operation import Call, Operations, Who
from tinybase.api.schemas import Query, Schema
from tinybase.host.ordering import Turn
from tinybase.host.stats import HandlerStats

operations = Operations("extensions")

_OF_COLLECTIONS = "collection"
_OF_FUNCTIONS = "function_name"


class HandlerInfo(Schema):
    """One handler; ``order`` is its place among all handlers of its hook.

    ``before`` and ``after`` are the extensions that it names, itself or in its manifest.
    ``why`` is the rule that put it behind the one in front of it.
    """

    extension = fields.String(required=True)
    hook = fields.String(required=True)
    decorator = fields.String(required=True, allow_none=True)
    handler = fields.String(required=True)
    filter = fields.Object(required=True, allow_none=True)
    order = fields.Integer(required=True)
    priority = fields.Integer(required=True)
    before = fields.List(fields.String(), required=True)
    after = fields.List(fields.String(), required=True)
    why = fields.String(required=True)
    is_async = fields.Boolean(required=True)
    status = fields.String(required=True)
    status_reason = fields.String(required=True, allow_none=True)


class HookList(Schema):
    """Handlers, in the order in which they would run."""

    hooks = fields.List(fields.Nested(HandlerInfo), required=True)


class ExtensionHooks(HookList):
    """The handlers of one extension."""

    extension = fields.String(required=True)


class LastErrorInfo(Schema):
    """The latest failure of a handler."""

    at = fields.String(required=True)
    type = fields.String(required=True)
    message = fields.String(required=True)


class HandlerMetrics(Schema):
    """What became of the calls of a handler."""

    hook = fields.String(required=True)
    handler = fields.String(required=True)
    calls = fields.Integer(required=True)
    errors = fields.Integer(required=True)
    timeouts = fields.Integer(required=True)
    skipped = fields.Integer(required=True)
    total_ms = fields.Number(required=True)
    mean_ms = fields.Number(required=True, allow_none=True)
    p95_ms = fields.Number(required=True, allow_none=True)
    max_ms = fields.Number(required=True, allow_none=True)
    last_error = fields.Nested(LastErrorInfo, required=True, allow_none=True)


class ExtensionMetrics(Schema):
    """What became of the calls of an extension's handlers."""

    extension = fields.String(required=True)
    since = fields.String(required=True)
    hooks = fields.List(fields.Nested(HandlerMetrics), required=True)


class HooksQuery(Query):
    """Which event is asked about."""

    hook = fields.String(max_length=100)
    collection = fields.String(max_length=100)
    function = fields.String(max_length=100)


@operations.get(
    "/api/admin/extensions/<extension_name>/hooks",
    id="extensions_list_extension_hooks",
    who=Who.ADMIN,
    answers={200: ExtensionHooks},
)
def list_extension_hooks(call: Call) -> object:
    """List the handlers of an extension, hook by hook."""
    host = call.services.host
    name = host.extension(call.path["extension_name"]).name
    turns = (turn for turn in host.turns() if turn.handler.extension == name)
    return {"extension": name, "hooks": describe(turns)}


@operations.get(
    "/api/admin/extensions/<extension_name>/metrics",
    id="extensions_get_extension_metrics",
    who=Who.ADMIN,
    answers={200: ExtensionMetrics},
)
def get_extension_metrics(call: Call) -> object:
    """Return the counters of an extension's handlers, summed over all workers."""
    return call.services.host.metrics(call.path["extension_name"])


@operations.get(
    "/api/admin/hooks",
    id="extensions_list_hooks",
    who=Who.ADMIN,
    query=HooksQuery,
    answers={200: HookList},
)
def list_hooks(call: Call) -> object:
    """List what would run at an event, in order."""
    turns = call.services.host.turns()
    return {"hooks": describe(t for t in turns if is_asked_for(t.handler, **call.query))}


def is_asked_for(
    handler: HandlerStats,
    *,
    hook: str | None = None,
    collection: str | None = None,
    function: str | None = None,
) -> bool:
    """Say whether a handler would run at the event that is asked about."""
    if hook is not None and hook not in (handler.hook, handler.hook.removeprefix("tinybase_")):
        return False
    return _admits(handler, _OF_COLLECTIONS, "record", collection) and _admits(
        handler, _OF_FUNCTIONS, "function", function
    )


def _admits(handler: HandlerStats, field: str, noun: str, value: str | None) -> bool:
    """Say whether the handler runs for events about the named thing."""
    if value is None:
        return True
    patterns = handler.filters.get(field, ["*"])
    return f"_{noun}_" in handler.hook and any(fnmatch.fnmatchcase(value, p) for p in patterns)


def describe(turns: Iterable[Turn]) -> list[dict[str, Any]]:
    """Return what answers tell of handlers."""
    return [
        {
            "extension": turn.handler.extension,
            "hook": turn.handler.hook,
            "decorator": turn.handler.decorator,
            "handler": turn.handler.handler,
            "filter": turn.handler.filters or None,
            "order": turn.number,
            "priority": turn.priority,
            "before": list(turn.before),
            "after": list(turn.after),
            "why": turn.why,
            "is_async": turn.handler.is_async,
            "status": "active" if turn.handler.quarantine is None else "quarantined",
            "status_reason": turn.handler.quarantine,
        }
        for turn in turns
    ]
