"""The numbers that extensions bring to ``/metrics``."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, Final

from prometheus_client import Metric
from prometheus_client.exposition import generate_latest

from tinybase.host import Host
from tinybase.host.guard import Guard
from tinybase.host.metrics import COLLECTORS

OWN_PREFIX: Final = "tinybase_"
"""How the names of the metrics of TinyBase itself begin."""


def render(families: Sequence[Metric]) -> bytes:
    """Return metrics as Prometheus reads them."""
    return generate_latest(_Ready(families))


def render_contributed(host: Host) -> Iterator[bytes]:
    """Yield what the collectors of all extensions tell; one that fails tells nothing.

    Each has the bounded time of a handler that is asked, and its failure is logged and counted
    as that of a handler.
    """
    seen: set[str] = set()
    snapshot = host.snapshot
    for number, (owner, declaration) in enumerate(snapshot.contributions.of(COLLECTORS), start=1):
        name = f"{type(declaration.collector).__name__} {number}"
        guard = Guard(snapshot.loaded[owner].plugin.counter(COLLECTORS, name), host.around)
        told = guard.call(partial(_tell, declaration.collector, frozenset(seen)))
        if told is not None:
            names, page = told
            seen |= names
            yield page


def _tell(collector: Any, taken: frozenset[str]) -> tuple[frozenset[str], bytes]:
    """Return the names of a collector's metrics, and the metrics as Prometheus reads them.

    :raises ValueError: for a name that somebody else has, which would spoil the whole page.
    """
    families = [_of_this_worker(family) for family in collector.collect()]
    names = frozenset(family.name for family in families)
    if own := sorted(name for name in names if name.startswith(OWN_PREFIX)):
        raise ValueError(f"the metric {own[0]} has a name of TinyBase's own. Choose another")
    if both := sorted(names & taken):
        raise ValueError(f"there is a metric {both[0]} already. Choose another name")
    return names, render(families)


def _of_this_worker(family: Metric) -> Metric:
    """Return a metric that says of which worker it is: each has numbers of its own."""
    told = Metric(family.name, family.documentation, family.type, family.unit)
    for sample in family.samples:
        labels = {**sample.labels, "worker": str(os.getpid())}
        told.samples.append(sample._replace(labels=labels))
    return told


class _Ready:
    """What ``prometheus_client`` asks for metrics, as a registry."""

    def __init__(self, families: Sequence[Metric]) -> None:
        self._families = families

    def collect(self) -> Iterator[Metric]:
        """Yield them."""
        yield from self._families
