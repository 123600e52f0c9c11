"""The numbers of an instance, in the words of Prometheus."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from tinybase._version import __version__
from tinybase.api.collectors import render, render_contributed
from tinybase.host import Host
from tinybase.host.latency import BOUNDS

HEADERS: Final = {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}

_BOUNDS = (*(str(bound) for bound in BOUNDS), "+Inf")
_REQUEST = ("method", "route")
_HANDLER = ("extension", "hook", "handler")
_COUNTED = {
    "calls": "Calls of a handler, in all workers.",
    "errors": "Calls of a handler that failed.",
    "timeouts": "Calls of a handler whose end was not waited for.",
    "skipped": "Calls of a handler that were left out because it is quarantined.",
}


def page(host: Host) -> bytes:
    """Return the numbers of the instance, then what the collectors of extensions tell."""
    return b"".join([render(list(_own(host))), *render_contributed(host)])


def _own(host: Host) -> Iterator[Metric]:
    about = GaugeMetricFamily("tinybase_info", "The version of TinyBase.", labels=("version",))
    about.add_metric((__version__,), 1)
    yield about
    yield _states(host)
    yield from _requests(host.request_metrics())
    yield from _handlers(host.all_metrics())


def _states(host: Host) -> Metric:
    states = GaugeMetricFamily(
        "tinybase_extension_info",
        "An extension, with its version and status.",
        labels=("extension", "version", "status"),
    )
    for state in host.extensions():
        states.add_metric((state.name, state.version, state.status), 1)
    return states


def _requests(found: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    answered = CounterMetricFamily(
        "tinybase_http_requests",
        "Requests that were answered, in all workers.",
        labels=(*_REQUEST, "status"),
    )
    took = HistogramMetricFamily(
        "tinybase_http_request_duration_seconds",
        "How long a request took until its answer began.",
        labels=_REQUEST,
    )
    # The status makes no histogram of its own, which would be a dozen numbers each.
    by_route: dict[tuple[str, ...], tuple[list[int], float]] = {}
    for item in found:
        labels = tuple(item[label] for label in _REQUEST)
        answered.add_metric([*labels, str(item["status"])], sum(item["buckets"]))
        buckets, seconds = by_route.get(labels, ([0] * len(_BOUNDS), 0.0))
        summed = [a + b for a, b in zip(buckets, item["buckets"], strict=True)]
        by_route[labels] = summed, seconds + item["total_ms"] / 1000
    for labels, (buckets, seconds) in by_route.items():
        took.add_metric(labels, _cumulated(buckets), seconds)
    yield answered
    yield took


def _cumulated(buckets: Sequence[int]) -> list[tuple[str, float]]:
    """Return buckets as Prometheus has them: with everything that is shorter."""
    return list(zip(_BOUNDS, accumulate(buckets), strict=True))


def _handlers(found: Sequence[Mapping[str, Any]]) -> Iterator[Metric]:
    for key, meaning in _COUNTED.items():
        counted = CounterMetricFamily(f"tinybase_handler_{key}", meaning, labels=_HANDLER)
        for item in found:
            counted.add_metric([item[label] for label in _HANDLER], item[key])
        yield counted
    took = HistogramMetricFamily(
        "tinybase_handler_duration_seconds", "How long a handler took.", labels=_HANDLER
    )
    longest = GaugeMetricFamily(
        "tinybase_handler_duration_seconds_max", "The longest call of a handler.", labels=_HANDLER
    )
    for item in found:
        labels = [item[label] for label in _HANDLER]
        took.add_metric(labels, _cumulated(item["buckets"]), item["total_ms"] / 1000)
        longest.add_metric(labels, (item["max_ms"] or 0) / 1000)
    yield took
    yield longest
