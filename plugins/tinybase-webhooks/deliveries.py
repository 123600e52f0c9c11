"""What is to be sent: a collection with one record for each event and endpoint.

``due_at`` says when somebody should try it, and is empty when it is finished. Whoever wants to
try first writes ``due_at`` anew, as far ahead as an attempt may take, provided that the record
has the version that they saw. Only one of many workers and hosts can do so. If it dies in the
attempt, the delivery is due again by itself.
"""

import json
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from tinybase.extensions import register_collection
from tinybase.functions import Context, NotFound, PreconditionFailed

from .endpoints import ONLY_ADMINS, listeners
from .settings import Settings

DELIVERIES: Final = register_collection(
    "webhook_deliveries",
    {
        "fields": [
            {"name": "endpoint", "type": "uuid", "required": True, "indexed": True},
            {"name": "event", "type": "string", "required": True},
            {"name": "body", "type": "string", "required": True},
            {
                "name": "status",
                "type": "enum",
                "values": ["pending", "delivered", "failed"],
                "required": True,
                "indexed": True,
            },
            {"name": "attempts", "type": "integer", "required": True},
            {"name": "due_at", "type": "datetime", "indexed": True},
            {"name": "finished_at", "type": "datetime", "indexed": True},
            {"name": "answer", "type": "integer"},
            {"name": "error", "type": "string"},
        ]
    },
    {"access": ONLY_ADMINS},
)

LONGEST_PAUSE: Final = timedelta(hours=12)


def queue(
    ctx: Context, event: str, happened: datetime, data: dict[str, Any], collection: str | None
) -> None:
    """Have everybody who wants it told of an event.

    No hook runs for a delivery: webhooks about webhooks would never end.
    """
    for endpoint in listeners(ctx, event, collection):
        delivery = {
            "endpoint": str(endpoint.id),
            "event": event,
            "body": _body(event, happened, data),
            "status": "pending",
            "attempts": 0,
            "due_at": written(datetime.now(UTC)),
        }
        ctx.records.create(DELIVERIES, delivery, owner_id=None, hooks=False)


def claim(ctx: Context, busy: list[str]) -> Any | None:
    """Return a delivery that is due and now nobody else's, or ``None``.

    :param busy: endpoints to leave alone.
    """
    now = datetime.now(UTC)
    due = ctx.records.list(
        DELIVERIES,
        filters={"due_at": {"lte": written(now)}, "endpoint": {"nin": busy}},
        sort="due_at",
        limit=20,
        count=False,
    )
    for delivery in due.records:
        again = now + timedelta(seconds=3 * Settings.timeout_seconds)
        changes = {"attempts": delivery.data["attempts"] + 1, "due_at": written(again)}
        try:
            return _write(ctx, delivery, changes)
        except (NotFound, PreconditionFailed):
            continue  # another worker was faster
    return None


def finish(ctx: Context, delivery: Any, status: str, answer: int | None, error: str | None) -> None:
    """Write down how a delivery ended."""
    now = written(datetime.now(UTC))
    result = {"status": status, "answer": answer, "error": error}
    _write(ctx, delivery, {**result, "due_at": None, "finished_at": now})


def postpone(ctx: Context, delivery: Any, answer: int | None, error: str) -> None:
    """Try a delivery again later, or give it up."""
    if delivery.data["attempts"] >= Settings.attempts:
        finish(ctx, delivery, "failed", answer, error)
        return
    due_at = datetime.now(UTC) + pause(delivery.data["attempts"])
    _write(ctx, delivery, {"due_at": written(due_at), "answer": answer, "error": error})


def redeliver(ctx: Context, delivery: Any) -> None:
    """Begin with a delivery anew; its id stays, so that receivers know it again."""
    now = written(datetime.now(UTC))
    anew = {"status": "pending", "attempts": 0, "due_at": now, "finished_at": None}
    _write(ctx, delivery, anew)


def prune(ctx: Context) -> None:
    """Delete some of the deliveries that ended long ago."""
    before = datetime.now(UTC) - timedelta(days=Settings.keep_days)
    old = ctx.records.list(
        DELIVERIES, filters={"finished_at": {"lt": written(before)}}, limit=500, count=False
    )
    for delivery in old.records:
        try:
            ctx.records.delete(DELIVERIES, delivery.id, version=delivery.version, hooks=False)
        except (NotFound, PreconditionFailed):
            continue  # another worker was faster


def pause(attempts: int) -> timedelta:
    """Return how long to wait after so many attempts.

    Half of it is chance, so that receivers that come back are not met by all at once.
    """
    longest = LONGEST_PAUSE.total_seconds()
    whole = min(Settings.retry_seconds * 3.0 ** min(attempts - 1, 20), longest)
    return timedelta(seconds=whole * (0.5 + secrets.randbelow(1000) / 2000))


def message_id(delivery_id: UUID) -> str:
    """Return what receivers know a delivery by, however often it comes."""
    return f"msg_{delivery_id.hex}"


def written(time: datetime) -> str:
    """Write a time as records have it."""
    return time.astimezone(UTC).isoformat()


def _write(ctx: Context, delivery: Any, changes: dict[str, Any]) -> Any:
    return ctx.records.update(
        DELIVERIES, delivery.id, changes, version=delivery.version, hooks=False
    )


def _body(event: str, happened: datetime, data: dict[str, Any]) -> str:
    """Return the text that is sent; records that are too large are left out of it."""
    text = _json({"type": event, "timestamp": written(happened), "data": data})
    if len(text.encode()) <= Settings.max_body_bytes:
        return text
    short = {**data, "record": None, "old_record": None, "is_truncated": True}
    return _json({"type": event, "timestamp": written(happened), "data": short})


def _json(value: dict[str, Any]) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
