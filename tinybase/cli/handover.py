"""Replacing workers while they serve: the new one answers before the old one goes."""

from __future__ import annotations

import logging
import signal
import time
from collections.abc import Callable, Iterable

from granian.server.mp import WorkerProcess

from tinybase.cli.pulse import Pulse

_log = logging.getLogger(__name__)

_LEAVE_SECONDS = 60.0
_AS_TOLD = frozenset({0, -signal.SIGTERM})
_TRY_AGAIN_SECONDS = 5.0
_LONGEST_SECONDS = 300.0


class Handover:
    """Takes the workers one by one; a step of it never waits.

    A successor starts beside the worker whose place and socket it shares. Only when it
    serves is the old one told to leave; one that does not come up changes nothing.

    :param workers: those that serve, by place; changed in place.
    :param pulses: the pulse of every worker.
    :param spawn: starts a worker for a place.
    :param acquit: is told of workers that went because they had to.
    """

    def __init__(
        self,
        workers: list[WorkerProcess],
        pulses: dict[WorkerProcess, Pulse],
        spawn: Callable[[int], WorkerProcess],
        acquit: Callable[[Iterable[WorkerProcess]], None],
    ) -> None:
        self._workers = workers
        self._pulses = pulses
        self._spawn = spawn
        self._acquit = acquit
        self._due: list[int] = []
        self._successor: WorkerProcess | None = None
        self._leaving: dict[WorkerProcess, float] = {}
        self._not_before = 0.0
        self._pause = _TRY_AGAIN_SECONDS

    @property
    def beside(self) -> list[WorkerProcess]:
        """Return the processes that are there beside the workers."""
        coming = [self._successor] if self._successor is not None else []
        return [*self._leaving, *coming]

    def begin(self, places: Iterable[int]) -> None:
        """Have the workers in some places replaced."""
        self._due += [place for place in places if place not in self._due]

    def forget(self) -> None:
        """Drop whatever is under way; somebody else ends these processes."""
        self._due, self._successor, self._leaving = [], None, {}

    def take(self, place: int) -> WorkerProcess | None:
        """Return the successor that is already there for a place that died, if it lives.

        Whoever comes to that place now is new, and need not be replaced.
        """
        if place in self._due:
            self._due.remove(place)
        successor = self._successor
        if successor is None or successor.idx != place or successor.inner.exitcode is not None:
            return None
        self._successor = None
        return successor

    def step(self) -> None:
        """Do what can be done now."""
        self._see_off()
        if self._successor is None:
            self._start_next()
        elif self._successor.inner.exitcode is not None:
            self._give_up(self._successor)
        elif self._pulses[self._successor].is_serving:
            self._hand_over(self._successor)

    def _start_next(self) -> None:
        if time.monotonic() < self._not_before:
            return
        self.begin(w.idx for w in self._workers if self._pulses[w].is_outdated)
        if self._due:
            self._successor = self._spawn(self._due.pop(0))

    def _hand_over(self, successor: WorkerProcess) -> None:
        old = self._workers[successor.idx]
        self._workers[successor.idx] = successor
        self._successor = None
        self._pause = _TRY_AGAIN_SECONDS
        # However it ends from here on, it is no failure.
        old.interrupt_by_parent = True
        self._pulses[old].tell_to_leave()
        self._leaving[old] = time.monotonic() + _LEAVE_SECONDS
        _log.info("Worker %d is replaced", successor.idx + 1)

    def _give_up(self, failed: WorkerProcess) -> None:
        _log.error(
            "The new worker %d could not start; the reason is in the lines above. "
            "The workers from before go on.",
            failed.idx + 1,
        )
        self._successor = None
        self._due.clear()
        self._not_before = time.monotonic() + self._pause
        self._pause = min(2 * self._pause, _LONGEST_SECONDS)
        self._pulses.pop(failed, None)

    def _see_off(self) -> None:
        for worker, deadline in list(self._leaving.items()):
            code = worker.inner.exitcode
            if code is not None:
                del self._leaving[worker]
                self._pulses.pop(worker, None)
            if code in _AS_TOLD:
                self._acquit([worker])
            elif code is None and time.monotonic() > deadline:
                _log.warning("Worker %d did not leave; ending it", worker.idx + 1)
                worker.kill()  # type: ignore[no-untyped-call]
                self._acquit([worker])
