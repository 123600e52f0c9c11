"""The processor cores that threads run on.

Most threads of a process take turns with Python's lock. On several cores each turn wakes
another core up, which can take longer than what it is woken up for; on one they follow each
other at once. So a worker keeps to one core, where every core gets a worker. Threads that
compute without that lock, or start other programs, go where there is room.
"""

from __future__ import annotations

import os
from collections.abc import Collection
from contextlib import suppress


def usable() -> tuple[int, ...]:
    """Return the cores that this thread may use, in order; none where the system does not say."""
    return tuple(sorted(os.sched_getaffinity(0))) if hasattr(os, "sched_getaffinity") else ()


def keep_to(cores: Collection[int]) -> None:
    """Have this thread use these cores only, and what it starts from now on; none changes nothing.

    Cores that the system has taken away meanwhile are no error: the thread stays as it is.
    """
    if cores:
        with suppress(OSError):
            os.sched_setaffinity(0, cores)


def of_worker(place: int, workers: int, cores: tuple[int, ...]) -> tuple[int, ...]:
    """Return the core for one of several workers; none in particular while some would be idle."""
    if not cores or workers < len(cores):
        return ()
    return (cores[place % len(cores)],)
