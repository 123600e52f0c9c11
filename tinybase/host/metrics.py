"""The counters of handlers and requests, summed over all workers of all hosts."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Connection, delete, select
from uuid_utils.compat import uuid7

from tinybase.db import Database, format_time, tables, utcnow
from tinybase.db.upsert import insert
from tinybase.extensions.metrics import check_declaration
from tinybase.host.contributions import Contribution
from tinybase.host.kinds import COLLECTING
from tinybase.host.latency import no_buckets, quantile
from tinybase.host.requests import RequestCounters
from tinybase.host.stats import HandlerStats, as_json
from tinybase_hookspecs import MetricDeclaration

COLLECTORS: Final = "tinybase_register_metrics"
"""The hook through which extensions contribute numbers of their own."""

_metrics = tables.worker_metrics

_PUBLISH_SECONDS = 5.0
_SIGN_OF_LIFE = timedelta(hours=1)
_TAKEN_FOR_ENDED = timedelta(days=1)
_ENDED: Final = UUID(int=0)
"""Stands for all processes that have ended."""

_HANDLER = ("extension", "hook", "handler")
_REQUEST = ("method", "route", "status")
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

    A process that has ended still counts: what it did has happened, and no sum ever falls.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._process = uuid7()
        self._started_at = utcnow()
        self._published: dict[str, Any] = {"handlers": [], "requests": []}
        self._published_at = self._started_at
        self._next = 0.0

    def publish(
        self,
        handlers: Iterable[HandlerStats],
        requests: RequestCounters,
        *,
        now: bool = False,
    ) -> None:
        """Store the counters of this process if they have changed, every few seconds."""
        if not now and time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _PUBLISH_SECONDS
        counters: dict[str, Any] = {
            "handlers": [{"extension": h.extension, **as_json(h)} for h in handlers if h.calls],
            "requests": requests.as_json(),
        }
        age = utcnow() - self._published_at
        if counters == self._published and age < _SIGN_OF_LIFE:
            return
        values = {"updated_at": utcnow(), **counters}
        with self._database.write() as work:
            _store(work.connection, self._process, started_at=self._started_at, **values)
            # After the machine has slept, everybody else first says that he is alive.
            if age < _TAKEN_FOR_ENDED:
                fold(work.connection, utcnow() - _TAKEN_FOR_ENDED)
        self._published, self._published_at = counters, utcnow()

    def read(self, extension: str, handlers: Iterable[HandlerStats]) -> dict[str, Any]:
        """Return the sums for the handlers of an extension, and since when they count.

        :param handlers: those of this process, whose counters are taken as they are now.
        """
        since, others, _ = self._read_others()
        hooks = _summed(handlers, others, {extension})
        for total in hooks:
            del total["extension"], total["buckets"]
        return {"extension": extension, "since": format_time(since), "hooks": hooks}

    def read_all(
        self, handlers: Iterable[HandlerStats], extensions: Collection[str]
    ) -> list[dict[str, Any]]:
        """Return the sums for the handlers of several extensions, each with the name of its own.

        :param handlers: as for :meth:`read`.
        """
        return _summed(handlers, self._read_others()[1], extensions)

    def read_requests(self, requests: RequestCounters) -> list[dict[str, Any]]:
        """Return the sums for the requests.

        :param requests: those of this process, whose counters are taken as they are now.
        """
        return _merged([*requests.as_json(), *self._read_others()[2]], _REQUEST)

    def totals(self) -> dict[str, Totals]:
        """Return the sums of the other processes, by extension."""
        totals: dict[str, Totals] = {}
        for counters in self._read_others()[1]:
            total = totals.setdefault(counters["extension"], Totals())
            total.calls += counters["calls"]
            total.errors += counters["errors"]
        return totals

    def _read_others(self) -> tuple[datetime, list[dict[str, Any]], list[dict[str, Any]]]:
        """Return since when the other processes count, and what of handlers and of requests."""
        with self._database.connect() as connection:
            found = connection.execute(select(_metrics)).all()
        rows = [row for row in found if row.process_id != self._process]
        since = min((row.started_at for row in rows), default=self._started_at)
        return (
            min(since, self._started_at),
            [counters for row in rows for counters in row.handlers],
            [counters for row in rows for counters in row.requests or ()],
        )


def fold(connection: Connection, before: datetime) -> None:
    """Put the counters of processes that have ended together in one row.

    :param before: who has not given a sign of life since then has ended.
    """
    # Deleted first, so that of two who do this at once only one has a row.
    is_over = (_metrics.c.updated_at < before) & (_metrics.c.process_id != _ENDED)
    ended = connection.execute(delete(_metrics).where(is_over).returning(_metrics)).all()
    if not ended:
        return
    values: dict[str, Any] = {"handlers": [], "requests": [], "updated_at": utcnow()}
    started_at = min(row.started_at for row in ended)
    _store(connection, _ENDED, only_new=True, started_at=started_at, **values)
    query = select(_metrics).where(_metrics.c.process_id == _ENDED).with_for_update()
    rows = [connection.execute(query).one(), *ended]
    _store(
        connection,
        _ENDED,
        started_at=min(row.started_at for row in rows),
        updated_at=utcnow(),
        handlers=_merged([item for row in rows for item in row.handlers], _HANDLER),
        requests=_merged([item for row in rows for item in row.requests or ()], _REQUEST),
    )


def _store(connection: Connection, process: UUID, *, only_new: bool = False, **values: Any) -> None:
    statement = insert(connection, _metrics).values(process_id=process, **values)
    if only_new:
        connection.execute(statement.on_conflict_do_nothing(index_elements=["process_id"]))
    else:
        connection.execute(
            statement.on_conflict_do_update(index_elements=["process_id"], set_=values)
        )


def _merged(counters: Iterable[dict[str, Any]], key: Sequence[str]) -> list[dict[str, Any]]:
    """Return counters with those of the same thing added up."""
    sums: dict[tuple[Any, ...], dict[str, Any]] = {}
    for item in counters:
        place = tuple(item[name] for name in key)
        if place in sums:
            _add(sums[place], item)
        else:
            sums[place] = {**item, "buckets": _buckets(item)}
    return list(sums.values())


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
            sums.append({"skipped": 0, **counters, "buckets": _buckets(counters)})
            places[_place(counters)] = sums[-1:]
    for total in sums:
        calls = total["calls"]
        total["mean_ms"] = round(total["total_ms"] / calls, 3) if calls else None
        p95 = quantile(0.95, total["buckets"], total["max_ms"] / 1000)
        total["p95_ms"] = None if p95 is None else round(p95 * 1000, 3)
        # One that goes on has taken some time already, before its call is counted.
        total["max_ms"] = total["max_ms"] if calls or total["max_ms"] else None
    return sums


def _place(counters: dict[str, Any]) -> tuple[str, str, str]:
    return counters["extension"], counters["hook"], counters["handler"]


def _buckets(counters: dict[str, Any]) -> list[int]:
    """Return the buckets; of counters without any, which are old, all calls are in the last."""
    found: list[int] | None = counters.get("buckets")
    return list(found) if found else [*no_buckets()[1:], counters.get("calls", 0)]


def _add(total: dict[str, Any], counters: dict[str, Any]) -> None:
    for name in _ADDED_UP:
        if name in total:
            total[name] = round(total[name] + counters.get(name, 0), 3)
    total["buckets"] = [a + b for a, b in zip(total["buckets"], _buckets(counters), strict=True)]
    if "max_ms" in total:
        total["max_ms"] = max(total["max_ms"], counters["max_ms"])
    error = counters.get("last_error")
    if error and (total["last_error"] is None or error["at"] > total["last_error"]["at"]):
        total["last_error"] = error
