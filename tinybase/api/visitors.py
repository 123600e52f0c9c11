"""How many requests the views of one extension may be answering at the same time.

Views run in the server's own threads. Those that hang keep theirs, so one extension gets only
a part of them.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial

from tinybase.config import Config
from tinybase.errors import Unavailable
from tinybase.host.stats import HandlerStats

_log = logging.getLogger(__name__)

_WAIT_SECONDS = 1.0
_LOG_EVERY_SECONDS = 60.0
_AGAIN = {"Retry-After": "5"}


class Visitors:
    """Counts the requests that the views of extensions are answering in this process.

    :param most: for one extension.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._inside: dict[str, dict[object, tuple[HandlerStats, float]]] = {}
        self._changed = threading.Condition()
        self._logged_at: dict[str, float] = {}

    def enter(self, owner: str, view: HandlerStats) -> Callable[[], None]:
        """Let a view answer one more request; return what is to be called at its end.

        Waits for its turn while those before it are quick.

        :raises Unavailable: when they are not.
        """
        ticket, deadline = object(), time.monotonic() + _WAIT_SECONDS
        with self._changed:
            inside = self._inside.setdefault(owner, {})
            while len(inside) >= self._most:
                left = min(deadline, self._slow_at(inside)) - time.monotonic()
                if left <= 0:
                    raise self._refusal(owner, view, inside)
                self._changed.wait(left)
            inside[ticket] = (view, time.monotonic())
        return partial(self._leave, inside, ticket)

    def _leave(self, inside: dict[object, tuple[HandlerStats, float]], ticket: object) -> None:
        with self._changed:
            if inside.pop(ticket, None) is not None:
                self._changed.notify_all()

    def _slow_at(self, inside: dict[object, tuple[HandlerStats, float]]) -> float:
        """Return when even the latest will have taken so long that waiting is no use."""
        return max(since for _, since in inside.values()) + _WAIT_SECONDS

    def _refusal(
        self,
        owner: str,
        view: HandlerStats,
        inside: dict[object, tuple[HandlerStats, float]],
    ) -> Unavailable:
        """Count and log that a request is not answered, the latter at most once a minute."""
        view.skipped += 1
        now = time.monotonic()
        if now - self._logged_at.get(owner, float("-inf")) >= _LOG_EVERY_SECONDS:
            self._logged_at[owner] = now
            busy = Counter(stats.handler for stats, _ in inside.values())
            _log.error(
                "extension %s: further requests get 503, because all %d that it may answer at the "
                "same time take long, the first of them for %d s, in %s; "
                "hooks.requests_per_extension allows more",
                view.extension,
                self._most,
                now - min(since for _, since in inside.values()),
                ", ".join(f"{handler} ({count}×)" for handler, count in busy.most_common()),
            )
        return Unavailable(
            f"The extension {view.extension} is busy with {self._most} other requests. "
            "Try again later.",
            code="extension_unavailable",
            headers=_AGAIN,
            extension=view.extension,
        )


def most_requests(config: Config) -> int:
    """Return how many requests one extension may be answering at the same time."""
    return config.hooks.requests_per_extension or max(1, config.server.threads // 2)
