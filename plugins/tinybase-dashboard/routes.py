"""The page, which everybody may load, and what it shows, which is for admins."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, jsonify, render_template
from sqlmodel import func, select

from tinybase.db.models import Collection, Record
from tinybase.extensions import public, register_blueprint
from tinybase.functions import Context

from .failures import latest
from .settings import Settings

SHOWN_FAILURES = 100
FASTEST_REFRESH = 2

dashboard = Blueprint("dashboard", __name__, static_folder="static", template_folder="templates")
register_blueprint(dashboard, auth="admin")


@dashboard.get("/")
@public
def page() -> str:
    """Show the page; its script signs in and asks for the rest."""
    return render_template("dashboard.html")


@dashboard.get("/overview")
def overview(ctx: Context) -> Response:
    """Return the collections with their counts, and what failed lately."""
    failures = latest(ctx, SHOWN_FAILURES + 1)
    answer = jsonify(
        collections=count_records(ctx),
        failures=failures[:SHOWN_FAILURES],
        has_more_failures=len(failures) > SHOWN_FAILURES,
        refresh_seconds=max(FASTEST_REFRESH, Settings.refresh_seconds),
    )
    answer.headers["Cache-Control"] = "no-store"
    return answer


def count_records(ctx: Context) -> list[dict[str, Any]]:
    """Return each collection with the number of its records and when the newest was made.

    One query for all of them, and one that an index answers: it reads no record.
    """
    counts = (
        select(
            Record.collection_id,
            func.count().label("records"),
            func.max(Record.created_at).label("newest"),
        )
        .group_by(Record.collection_id)
        .subquery()
    )
    rows = ctx.db.exec(
        select(Collection.name, Collection.label, counts.c.records, counts.c.newest)
        .join(counts, counts.c.collection_id == Collection.id, isouter=True)
        .order_by(Collection.name)
    )
    return [
        {
            "name": name,
            "label": label,
            "records": records or 0,
            "newest": newest and newest.isoformat(),
        }
        for name, label, records, newest in rows
    ]
