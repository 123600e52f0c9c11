"""``audit_trail_query``: the trail, for admins to ask."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from tinybase.functions import Context, register
from tinybase_audit_trail import trail
from tinybase_audit_trail.entries import Kind, write_time

Actor = Literal["anonymous", "user", "admin", "application", "system"]


class AuditTrailQuery(BaseModel):
    """Which entries to return: those for which everything that is given holds.

    ``since`` is part of the time that is asked for, ``until`` is not.
    """

    model_config = ConfigDict(extra="forbid")

    kind: Kind | None = None
    actor: Actor | None = None
    actor_id: UUID | None = None
    collection: str | None = None
    record_id: UUID | None = None
    user_id: UUID | None = None
    function_name: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    limit: int = Field(default=100, ge=1, le=1_000)
    offset: int = Field(default=0, ge=0, le=10_000_000)


class AuditTrailEntry(BaseModel):
    """One event.

    ``actor`` and ``actor_id`` are who caused it; ``user_id`` is who signed in, is new, or
    called the function.
    """

    event_id: UUID
    occurred_at: datetime
    kind: str
    actor: str
    actor_id: UUID | None
    origin: str
    request_id: str | None
    depth: int
    collection: str | None
    record_id: UUID | None
    user_id: UUID | None
    function_name: str | None
    details: dict[str, Any]


class AuditTrailPage(BaseModel):
    """Entries, the newest first; ``total`` counts all that match."""

    entries: list[AuditTrailEntry]
    total: int
    limit: int
    offset: int


@register(
    name="audit_trail_query",
    description="Search the audit trail",
    auth="admin",
    input_model=AuditTrailQuery,
    output_model=AuditTrailPage,
    tags=["audit-trail"],
)
def audit_trail_query(ctx: Context, payload: AuditTrailQuery) -> AuditTrailPage:
    """Return entries of the trail, the newest first."""
    page = ctx.records.list(
        trail.NAME,
        filters=_filters(payload),
        sort="-occurred_at",
        limit=payload.limit,
        offset=payload.offset,
    )
    return AuditTrailPage(
        entries=[AuditTrailEntry.model_validate(record.data) for record in page.records],
        total=page.total or 0,
        limit=payload.limit,
        offset=payload.offset,
    )


def _filters(query: AuditTrailQuery) -> dict[str, Any]:
    filters = query.model_dump(
        mode="json", exclude_none=True, exclude={"since", "until", "limit", "offset"}
    )
    bounds = {"gte": query.since, "lt": query.until}
    times = {operator: write_time(time) for operator, time in bounds.items() if time is not None}
    return {**filters, "occurred_at": times} if times else filters
