"""Telling a worker that hangs from one that has much to do, or a machine that has."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_LONGEST_STEP = 0.5
_STOPPED = frozenset("tT")


@dataclass
class _Seen:
    beats: int
    still: float = 0.0


class Watchdog:
    """Measures for how long each worker has not run any Python.

    A worker beats several times a second unless something holds the interpreter. Time
    counts only as far as the supervisor itself has lived through it: when it is not
    scheduled either, or the machine is suspended, nobody is to blame. A worker that somebody has
    stopped, as debuggers do, is not looked at.

    :param seconds: how long a worker may stand still; 0 is for ever.
    :param clock: returns seconds that only grow.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._clock = clock
        self._now = clock()
        self._seen: dict[int, _Seen] = {}

    def hanging(self, beats: dict[int, int]) -> list[int]:
        """Return the processes that have just stood still for too long; call it again and again.

        :param beats: of all workers, by process.
        """
        step = min(self._clock() - self._now, _LONGEST_STEP)
        self._now = self._clock()
        self._seen = {pid: self._look(pid, count, step) for pid, count in beats.items()}
        if not self._seconds:
            return []
        found = [pid for pid, seen in self._seen.items() if seen.still >= self._seconds]
        for pid in found:
            self._seen[pid].still = 0  # it takes a moment to end a process
        return found

    def _look(self, pid: int, beats: int, step: float) -> _Seen:
        seen = self._seen.get(pid)
        if seen is None or seen.beats != beats or _is_stopped(pid):
            return _Seen(beats)
        return _Seen(beats, seen.still + step)


def _is_stopped(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] in _STOPPED
