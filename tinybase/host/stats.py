"""What is counted about a handler while it works."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from tinybase.db import format_time
from tinybase.host.latency import bucket_of, no_buckets

_LOG_EVERY_SECONDS = 60.0
_FAULTS_SECONDS = 60.0


@dataclass
class LastError:
    """The latest failure of a handler."""

    at: datetime
    type: str
    message: str


@dataclass(eq=False)
class HandlerStats:
    """One handler: what it is, and what became of its calls in this process.

    The numbers are plain integers: two threads may now and then lose a count, which is
    exact enough and costs no lock. ``fields`` is what it says it changes of an event's data.
    """

    extension: str
    hook: str
    handler: str
    decorator: str | None = None
    filters: dict[str, list[str]] = field(default_factory=dict)
    fields: tuple[str, ...] | None = None
    is_async: bool = False
    calls: int = 0
    errors: int = 0
    timeouts: int = 0
    skipped: int = 0
    total_ns: int = 0
    max_ns: int = 0
    buckets: list[int] = field(default_factory=no_buckets)
    last_error: LastError | None = None
    quarantine: str | None = None
    fresh_quarantine: str | None = None
    _logged_at: float = float("-inf")
    _unlogged: int = 0
    _faults: deque[float] = field(default_factory=deque)

    def count_call(self, nanoseconds: int) -> None:
        """Count a finished call."""
        self.calls += 1
        self.total_ns += nanoseconds
        self.max_ns = max(self.max_ns, nanoseconds)
        self.buckets[bucket_of(nanoseconds)] += 1

    def count_error(self, error: BaseException) -> None:
        """Count a failed call and remember why."""
        self.errors += 1
        self.last_error = LastError(datetime.now(UTC), type(error).__name__, safe_text(error))

    def fault(self, what: str, now: float, most: int) -> None:
        """Note a failure or a call that took too long; quarantine the handler after so many.

        :param most: how many within a minute; 0 is no limit.
        """
        if not most or self.quarantine is not None:
            return
        self._faults.append(now)
        while now - self._faults[0] > _FAULTS_SECONDS:
            self._faults.popleft()
        if len(self._faults) >= most:
            self.quarantine = self.fresh_quarantine = (
                f"{self.handler} failed {most}× within a minute, the last time: {what}"
            )

    def put_in_quarantine(self, reason: str | None) -> None:
        """Let the handler be called no more, or with ``None`` again, from a fresh start."""
        if reason is None and self.quarantine is not None:
            self._faults.clear()
        self.quarantine = reason

    def may_log(self, now: float) -> int | None:
        """Say whether a failure should be logged in full now.

        :returns: how many failures went unlogged since the last time, or ``None`` if this
            one is not to be logged either: at most one a minute is.
        """
        if now - self._logged_at < _LOG_EVERY_SECONDS:
            self._unlogged += 1
            return None
        self._logged_at, unlogged, self._unlogged = now, self._unlogged, 0
        return unlogged


def safe_text(error: BaseException) -> str:
    """Return the text of an exception, even of one that cannot say it."""
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - the text is the extension's code, it may do anything
        return "(the exception has no readable text)"


def as_json(stats: HandlerStats) -> dict[str, Any]:
    """Return the counters as answers carry them."""
    error = stats.last_error
    return {
        "hook": stats.hook,
        "handler": stats.handler,
        "calls": stats.calls,
        "errors": stats.errors,
        "timeouts": stats.timeouts,
        "skipped": stats.skipped,
        "total_ms": round(stats.total_ns / 1e6, 3),
        "max_ms": round(stats.max_ns / 1e6, 3),
        "buckets": list(stats.buckets),
        "last_error": error
        and {
            "at": format_time(error.at),
            "type": error.type,
            "message": error.message,
        },
    }
