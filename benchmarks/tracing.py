"""What it costs that one can see what a request calls: ``python -m benchmarks.tracing``.

One application in one process, without a network: requests that create a record which so
many handlers are asked about. They go in turns to the application as it is, to one whose
guard cannot be looked into, to one that is asked for a trace, and to one whose spans
OpenTelemetry follows. The ratio to the second is the cost.
"""

from __future__ import annotations

import statistics
import tempfile
import time
import timeit
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from unittest import mock

import click

from tinybase.extensions import before_record_create
from tinybase.host.spans import OpenTelemetrySpans
from tinybase.host.stats import HandlerStats
from tinybase.host.tracing import called
from tinybase.testing import Running, running

_HANDLERS = 10


def _ask(event: object) -> None:
    """Do nothing, as a handler."""


for _number in range(_HANDLERS):
    before_record_create(collection="orders")(_ask)


@click.command()
@click.option("--rounds", default=40, show_default=True, help="How often each is measured.")
@click.option("--requests", default=25, show_default=True, help="Requests of one round.")
def main(*, rounds: int, requests: int) -> None:
    """Measure what tracing costs, off and on."""
    with tempfile.TemporaryDirectory() as folder, running(Path(folder), modules=[__name__]) as it:
        it.collection("orders", {"fields": [{"name": "item"}]})
        ways: dict[str, tuple[Callable[[], AbstractContextManager[object]], str]] = {
            "without": (_without_a_seam, "0"),
            "off": (nullcontext, "0"),
            "trace": (nullcontext, "1"),
            "spans": (lambda: _followed(it), "0"),
        }
        times: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, (prepared, wanted) in ways.items():
                with prepared():
                    times[way].append(_measure(it, wanted, requests))
    stats = HandlerStats("shop", "tinybase_before_record_create", "shop:check")
    look = min(timeit.repeat(lambda: called(stats, None), number=100_000, repeat=5)) / 100_000
    click.echo(f"One look whether somebody watches: {look * 1e9:.0f} ns")
    least = statistics.median(times["without"])
    for way, found in times.items():
        middle = statistics.median(found)
        click.echo(f"{way:8} {middle * 1e6:7.0f} µs CPU per request   {middle / least:.3f}")


def _measure(it: Running, wanted: str, requests: int) -> float:
    headers = {**it.headers, "X-TinyBase-Trace": wanted}
    started = time.process_time()
    for _ in range(requests):
        it.post("/api/collections/orders/records", {"item": "tea"}, headers)
    return (time.process_time() - started) / requests


@contextmanager
def _without_a_seam() -> Iterator[None]:
    with mock.patch("tinybase.host.guard.called", _nobody):
        yield


def _nobody(*_: object) -> None:
    """See nothing."""


@contextmanager
def _followed(it: Running) -> Iterator[None]:
    around = it.services.host.around
    around.spans = OpenTelemetrySpans()
    try:
        yield
    finally:
        around.spans = None


if __name__ == "__main__":
    main()
