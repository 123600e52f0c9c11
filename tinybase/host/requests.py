"""What is counted about the requests of one process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from tinybase.host.latency import bucket_of, no_buckets

OTHER: Final = "other"
"""Stands for a method that nobody knows, and for an address that is no route."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


@dataclass(eq=False, slots=True)
class _Counted:
    """Requests with the same method, route and status."""

    total_ns: int = 0
    buckets: list[int] = field(default_factory=no_buckets)


class RequestCounters:
    """Counts requests by method, route and status.

    Addresses are counted by their templates, so a client cannot make the list grow. The
    numbers are as exact as those of handlers.
    """

    def __init__(self) -> None:
        self._counted: dict[tuple[str, str, int], _Counted] = {}

    def count(self, method: str, route: str | None, status: int, nanoseconds: int) -> None:
        """Count a request that has been answered."""
        key = (method if method in _METHODS else OTHER, route or OTHER, status)
        counted = self._counted.get(key) or self._counted.setdefault(key, _Counted())
        counted.total_ns += nanoseconds
        counted.buckets[bucket_of(nanoseconds)] += 1

    def as_json(self) -> list[dict[str, Any]]:
        """Return the counters as they are stored."""
        return [
            {
                "method": method,
                "route": route,
                "status": status,
                "total_ms": round(counted.total_ns / 1e6, 3),
                "buckets": list(counted.buckets),
            }
            for (method, route, status), counted in list(self._counted.items())
        ]
