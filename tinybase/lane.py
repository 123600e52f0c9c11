"""Going one by one where that is quicker for all."""

from __future__ import annotations

import threading
import time


class Lane:
    """Lets threads through one by one, as long as they are quick.

    :param seconds: how long somebody waits. Who has had the lane for longer is waited for by
        nobody any more.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._taken_at = 0.0

    def enter(self) -> bool:
        """Wait for one's turn; say whether it has come, until :meth:`leave`."""
        if not self._lock.acquire(blocking=False):
            is_slow = time.monotonic() - self._taken_at > self._seconds
            if is_slow or not self._lock.acquire(timeout=self._seconds):
                return False
        self._taken_at = time.monotonic()
        return True

    def leave(self) -> None:
        """Let the next one through."""
        self._lock.release()
