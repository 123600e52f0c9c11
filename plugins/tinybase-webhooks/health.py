"""Whether deliveries arrive."""

from datetime import UTC, datetime, timedelta

from tinybase.extensions import health_check
from tinybase.functions import Context

from .deliveries import DELIVERIES, written


@health_check("deliveries")
def deliveries_arrive(ctx: Context) -> None:
    """Find deliveries that fail again and again, or were given up within a day."""
    yesterday = written(datetime.now(UTC) - timedelta(days=1))
    for filters in (
        {"status": "pending", "attempts": {"gte": 3}, "error": {"ne": None}},
        {"status": "failed", "finished_at": {"gte": yesterday}},
    ):
        found = ctx.records.list(DELIVERIES, filters=filters, limit=1)
        if found.records:
            (last,) = found.records
            raise ConnectionError(
                f"{found.total} deliveries do not arrive ({last.data['error']}); "
                "tinybase x tinybase-webhooks list shows them"
            )
