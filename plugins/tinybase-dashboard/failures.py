"""What failed lately, kept in a collection so that all workers tell the same."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from tinybase.extensions import ErrorEvent, on_error, register_collection
from tinybase.functions import Context, NotFound

from .settings import Settings

LONGEST_MESSAGE = 2_000

FAILURES = register_collection(
    "dashboard_failures",
    {
        "fields": [
            {"name": "source", "type": "string", "required": True},
            {"name": "extension", "type": "string"},
            {"name": "handler", "type": "string"},
            {"name": "error_type", "type": "string", "required": True},
            {"name": "message", "type": "string"},
            {"name": "method", "type": "string"},
            {"name": "path", "type": "string"},
            {"name": "request_id", "type": "string"},
        ]
    },
    **dict.fromkeys(("list", "read", "create", "update", "delete"), "admin"),
)


@on_error
def remember(event: ErrorEvent, ctx: Context) -> None:
    """Keep what failed, and no more of it than the operator wants."""
    if Settings.keep_failures > 0:
        # Without hooks: other extensions have nothing to say about our own book-keeping.
        ctx.records.create(FAILURES, describe(event), owner_id=None, hooks=False)
    forget(ctx, beyond=max(0, Settings.keep_failures))


def describe(event: ErrorEvent) -> dict[str, Any]:
    """Return what is kept of a failure: where and what, but no traceback."""
    return {
        "source": event.source,
        "extension": event.extension,
        "handler": event.handler,
        "error_type": type(event.error).__name__,
        "message": str(event.error)[:LONGEST_MESSAGE],
        "method": event.method,
        "path": event.path,
        "request_id": event.request_id,
    }


def latest(ctx: Context, limit: int) -> list[dict[str, Any]]:
    """Return failures as clients see them, the newest first."""
    page = ctx.records.list(FAILURES, limit=limit, count=False)
    return [{"at": record.created_at.isoformat(), **record.data} for record in page.records]


def forget(ctx: Context, *, beyond: int = 0) -> int:
    """Delete all failures but the newest, a page at a time; return how many that were."""
    forgotten = 0
    while old := ctx.records.list(FAILURES, offset=beyond, limit=100, count=False).records:
        for record in old:
            # Another worker may be at the same.
            with suppress(NotFound):
                ctx.records.delete(FAILURES, record.id, hooks=False)
                forgotten += 1
    return forgotten
