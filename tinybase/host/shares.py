"""The threads in which the code of extensions runs: for each extension a few of its own.

Python cannot end a thread. So a handler that hangs keeps the one that it is in, and what
an extension may keep is bounded: the others have threads of their own, and a request waits
a bounded time.
"""

from __future__ import annotations

import contextvars
import logging
import math
import queue
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable
from contextvars import Context, ContextVar
from dataclasses import dataclass
from typing import Protocol

from tinybase.config import HooksConfig
from tinybase.host.stats import HandlerStats

_log = logging.getLogger(__name__)

_IDLE_SECONDS = 60.0
_LOOK_SECONDS = 0.1


@dataclass(frozen=True)
class Limits:
    """How much extensions may take; the settings of the section ``hooks``.

    :param waiting: how many tasks may wait for the threads of one share.
    """

    threads: int = 4
    wait_seconds: float = 0.2
    decide_seconds: float = 2.0
    hang_seconds: float = 30.0
    quarantine_after: int = 0
    waiting: int = 1000


def limits_of(config: HooksConfig) -> Limits:
    """Return the limits that the configuration states."""
    return Limits(
        threads=config.threads_per_extension,
        wait_seconds=config.wait_ms / 1000,
        decide_seconds=config.decide_seconds,
        hang_seconds=config.hang_seconds,
        quarantine_after=config.quarantine_after,
    )


class Runnable(Protocol):
    """One call of a handler; it does not raise."""

    stats: HandlerStats

    def run(self) -> None:
        """Do it."""

    def hangs(self) -> None:
        """Note that it takes longer than a handler may."""

    def let_go(self) -> None:
        """Note that nobody waits for it any more."""

    def skip(self) -> None:
        """Note that it will never be done."""


class Task:
    """Calls that one thread makes one after another, in the context of who asked for them.

    ``running`` is the one that is being made, and has been ``since``.

    :param patience: after so many seconds in one call it counts as hanging.
    :param over: is called at the end.
    """

    def __init__(
        self,
        calls: Iterable[Runnable],
        patience: float,
        over: Callable[[], object] | None = None,
        context: Context | None = None,
    ) -> None:
        self.running: Runnable | None = None
        self.since = math.inf
        self.share: Share | None = None
        self._calls = deque(calls)
        self._patience = patience
        self._over = over
        self._context = context or contextvars.copy_context()
        # A lock that is let go of once: an event costs several times as much.
        self._ended = threading.Lock()
        self._ended.acquire()

    def run(self) -> None:
        """Make the calls."""
        try:
            self._context.run(self._run)
        finally:
            self.since = math.inf
            if self._over is not None:
                self._over()

    def end(self) -> None:
        """Wake who waits. To be called last: they would wait for the interpreter meanwhile."""
        self._ended.release()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; say whether it has come. To be called once."""
        return self._ended.acquire(timeout=max(seconds, 0))

    def hangs(self, now: float, patience: float | None = None) -> bool:
        """Say whether the call that it is in takes too long."""
        return now - self.since > (self._patience if patience is None else patience)

    def let_go(self) -> bool:
        """Wait no longer, however it ends; say whether it had begun.

        What has not begun never will.
        """
        self._patience = -math.inf
        self._calls.clear()
        running = self.running
        if running is not None:
            running.let_go()
        return running is not None

    def split(self) -> Task | None:
        """Return a task with the calls that come after the one that hangs."""
        rest = []
        while self._calls:
            rest.append(self._calls.popleft())
        if not rest:
            return None
        over, self._over = self._over, None
        return Task(rest, self._patience, over, self._context.copy())

    def skip(self) -> None:
        """Never make the calls."""
        for call in self._calls:
            call.skip()
        if self._over is not None:
            self._over()

    def _run(self) -> None:
        _current.set(self.share)
        while self._calls:
            try:
                call = self._calls.popleft()
            except IndexError:  # taken meanwhile
                return
            self.running = call
            self.since = time.monotonic()
            try:
                call.run()
            except BaseException:  # noqa: BLE001 - the thread and the other calls go on
                stats = call.stats
                _log.exception("extension %s: calling %s failed", stats.extension, stats.handler)


_current: ContextVar[Share | None] = ContextVar("tinybase_share", default=None)


def current_share() -> Share | None:
    """Return the share whose thread this is."""
    return _current.get()


class Share:
    """Threads that nobody else uses, started when they are needed.

    Daemon threads, because a handler that hangs must not keep a stopping worker alive.

    :param grows: there is a thread for every task, until as many tasks hang as there may be
        threads otherwise. A transaction that waits for a thread holds locks which those who
        have one may be waiting for, so it must not have to wait for theirs.
    """

    def __init__(self, limits: Limits, *, grows: bool = False) -> None:
        self._limits = limits
        self._grows = grows
        self._tasks: queue.SimpleQueue[Task | None] = queue.SimpleQueue()
        self._running: set[Task] = set()
        self._reported: weakref.WeakSet[Task] = weakref.WeakSet()
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._threads = 0
        self._taken = 0

    def submit(self, task: Task) -> bool:
        """Have a task run; say whether it will be, which it is not when all threads hang."""
        with self._lock:
            if self._taken >= self._limits.threads and self._is_out_of_reach():
                return False
            task.share = self
            self._taken += 1
            if self._taken > self._threads and (
                self._grows or self._threads < self._limits.threads
            ):
                self._add_thread()
            if not self._threads:
                self._taken -= 1
                return False
            self._tasks.put(task)
        return True

    @property
    def is_slow(self) -> bool:
        """Say whether waiting is no use: each thread has been busy for longer than one waits."""
        return self._taken > self._limits.threads and self._all_hang(self._limits.wait_seconds)

    def sweep(self) -> list[Runnable]:
        """Take what waits behind calls that hang to other threads; return those calls, once."""
        found = []
        now = time.monotonic()
        for task in [task for task in list(self._running) if task.hangs(now)]:
            rest = task.split()
            if rest is not None and not self.submit(rest):
                rest.skip()
            if task not in self._reported and task.running is not None:
                self._reported.add(task)
                found.append(task.running)
        return found

    def drain(self, deadline: float) -> bool:
        """Wait until nothing is left but what hangs, at most so long; say whether that is so."""
        with self._idle:
            while self._taken > sum(task.hangs(time.monotonic()) for task in list(self._running)):
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._idle.wait(min(left, _LOOK_SECONDS))
        return True

    def close(self) -> None:
        """Let the idle threads end."""
        with self._lock:
            for _ in range(self._threads):
                self._tasks.put(None)

    def _add_thread(self) -> None:
        try:
            threading.Thread(target=self._work, name="tinybase-handlers", daemon=True).start()
        except (RuntimeError, MemoryError) as error:
            # At the limits of the system; those that there are do it, later.
            _log.error("No thread could be started for the handlers of an extension: %s", error)
        else:
            self._threads += 1

    def _is_out_of_reach(self) -> bool:
        waiting = self._taken - self._limits.threads
        return waiting >= self._limits.waiting or self._all_hang(None)

    def _all_hang(self, patience: float | None) -> bool:
        now, running = time.monotonic(), list(self._running)
        hanging = sum(task.hangs(now, patience) for task in running)
        return hanging >= self._limits.threads and (self._grows or hanging == len(running))

    def _work(self) -> None:
        while (task := self._next()) is not None:
            self._running.add(task)
            task.run()
            self._running.discard(task)
            with self._idle:
                self._taken -= 1
                self._idle.notify_all()
            task.end()

    def _next(self) -> Task | None:
        """Return what to do next, or ``None`` for a thread that is not needed any more."""
        while True:
            try:
                task = self._tasks.get(timeout=_IDLE_SECONDS)
            except queue.Empty:
                task = None
            if task is not None:
                return task
            with self._lock:
                if self._taken < self._threads:
                    self._threads -= 1
                    return None


class Shares:
    """The shares of one extension: one for what it is told, one for what it is asked.

    Two, so that what is slow afterwards never keeps anybody from an answer.
    """

    def __init__(self, limits: Limits) -> None:
        self.told = Share(limits)
        self.asked = Share(limits, grows=True)

    @property
    def both(self) -> tuple[Share, Share]:
        """Return the two."""
        return self.told, self.asked
