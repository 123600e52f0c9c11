"""The counters of handlers, summed over all workers of all hosts."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select
from uuid_utils.compat import uuid7

from tinybase.db import Database, format_time, utcnow
from tinybase.db.models import WorkerMetrics
from tinybase.db.upsert import insert
from tinybase.extensions.metrics import check_declaration
from tinybase.host.contributions import Contribution
from tinybase.host.kinds import COLLECTING
from tinybase.host.stats import HandlerStats, as_json
from tinybase_hookspecs import MetricDeclaration

COLLECTORS: Final = "tinybase_register_metrics"
"""The hook through which extensions contribute numbers of their own."""

_metrics = WorkerMetrics.__table__

_PUBLISH_SECONDS = 5.0
_KEPT = timedelta(days=7)
_ADDED_UP = ("calls", "errors", "timeouts", "skipped", "total_ms")


def check(_owner: str, declaration: MetricDeclaration, _taken: Sequence[Contribution]) -> None:
    """Refuse a contribution that is no collector.

    :raises HandlerError: with what is wrong and the remedy.
    """
    check_declaration(declaration)


@dataclass
class Totals:
    """How often all handlers of an extension were called, and failed."""

    calls: int = 0
    errors: int = 0


class Metrics:
    """Publishes the counters of this process and adds up those of all.

    A worker that has ended still counts, for some days: what its handlers did has happened.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._process = uuid7()
        self._started_at = utcnow()
        self._published: list[dict[str, Any]] = []
        self._next = 0.0

    def publish(self, handlers: Iterable[HandlerStats], *, now: bool = False) -> None:
        """Store the counters of this process if they have changed, every few seconds."""
        if not now and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _PUBLISH_SECONDS
        counters = [{"extension": h.extension, **as_json(h)} for h in handlers if h.calls]
        if counters == self._published:
            return
        values = {"updated_at": utcnow(), "handlers": counters}
        with self._database.write() as work:
            statement = insert(work.connection, _metrics).values(
                process_id=self._process, started_at=self._started_at, **values
            )
            work.connection.execute(
                statement.on_conflict_do_update(index_elements=["process_id"], set_=values)
            )
            work.connection.execute(
                delete(_metrics).where(_metrics.c.updated_at < utcnow() - _KEPT)
            )
        self._published = counters

    def read(self, extension: str, handlers: Iterable[HandlerStats]) -> dict[str, Any]:
        """Return the sums for the handlers of an extension, and since when they count.

        :param handlers: those of this process, whose counters are taken as they are now.
        """
        since, others = self._read_others()
        hooks = _summed(handlers, others, {extension})
        for total in hooks:
            del total["extension"]
        return {"extension": extension, "since": format_time(since), "hooks": hooks}

    def read_all(
        self, handlers: Iterable[HandlerStats], extensions: Collection[str]
    ) -> list[dict[str, Any]]:
        """Return the sums for the handlers of several extensions, each with the name of its own.

        :param handlers: as for :meth:`read`.
        """
        return _summed(handlers, self._read_others()[1], extensions)

    def totals(self) -> dict[str, Totals]:
        """Return the sums of the other processes, by extension."""
        totals: dict[str, Totals] = {}
        for counters in self._read_others()[1]:
            total = totals.setdefault(counters["extension"], Totals())
            total.calls += counters["calls"]
            total.errors += counters["errors"]
        return totals

    def _read_others(self) -> tuple[datetime, list[dict[str, Any]]]:
        query = select(_metrics.c.process_id, _metrics.c.started_at, _metrics.c.handlers)
        with self._database.connect() as connection:
            rows = [row for row in connection.execute(query) if row.process_id != self._process]
        since = min((row.started_at for row in rows), default=self._started_at)
        return min(since, self._started_at), [c for row in rows for c in row.handlers]


def _summed(
    handlers: Iterable[HandlerStats], others: Iterable[dict[str, Any]], extensions: Collection[str]
) -> list[dict[str, Any]]:
    """Return the counters of handlers, with those that other processes have of the same."""
    sums = [{"extension": handler.extension, **as_json(handler)} for handler in handlers]
    places: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
    for total in sums:
        places.setdefault(_place(total), []).append(total)
    for counters in others:
        if counters["extension"] not in extensions:
            continue
        same = places.get(_place(counters), [])
        for total in same:
            _add(total, counters)
        # Views and checks are known where they have been called, and only there.
        if not same and counters["hook"] in COLLECTING:
            sums.append({"skipped": 0, **counters})
            places[_place(counters)] = sums[-1:]
    for total in sums:
        calls = total["calls"]
        total["mean_ms"] = round(total["total_ms"] / calls, 3) if calls else None
    return sums


def _place(counters: dict[str, Any]) -> tuple[str, str, str]:
    return counters["extension"], counters["hook"], counters["handler"]


def _add(total: dict[str, Any], counters: dict[str, Any]) -> None:
    for name in _ADDED_UP:
        total[name] = round(total[name] + counters.get(name, 0), 3)
    total["max_ms"] = max(total["max_ms"], counters["max_ms"])
    error = counters["last_error"]
    if error and (total["last_error"] is None or error["at"] > total["last_error"]["at"]):
        total["last_error"] = error
