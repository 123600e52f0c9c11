"""Handlers run beside the request that caused them.

The request waits for them a bounded time: a fast handler is done before the answer is
sent, a slow one cannot hold the client.
"""

from __future__ import annotations

import contextvars
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar

from tinybase.host.stats import HandlerStats

_log = logging.getLogger(__name__)

Callback = Callable[[], object]


class Job:
    """The callbacks of one transaction; ``handler`` is the one that is running.

    :param over: is called when all of them have run.
    """

    def __init__(self, callbacks: Sequence[Callback], over: Callback) -> None:
        self._callbacks = callbacks
        self._over = over
        self._context = contextvars.copy_context()
        self.handler: HandlerStats | None = None
        # A lock that is let go of once: an event costs several times as much.
        self._running = threading.Lock()
        self._running.acquire()

    def run(self) -> None:
        """Run the callbacks in order, in the context of the one who asked for them."""
        try:
            self._context.run(self._run)
        finally:
            self._over()
            self._running.release()

    def wait(self, seconds: float) -> bool:
        """Wait for the end, at most so long; say whether it has come. To be called once."""
        return self._running.acquire(timeout=seconds)

    def _run(self) -> None:
        _job.set(self)
        for callback in self._callbacks:
            try:
                callback()
            except BaseException:  # noqa: BLE001
                # Handlers are guarded one by one, so this is a fault between them. The
                # thread must survive it and the other callbacks must run.
                _log.exception("telling the extensions about an event failed")


_job: ContextVar[Job | None] = ContextVar("tinybase_job", default=None)


def now_running(handler: HandlerStats | None) -> None:
    """Note which handler the present job is busy with."""
    job = _job.get()
    if job is not None:
        job.handler = handler


class Dispatcher:
    """A pool of daemon threads that run jobs.

    Daemon threads, because one handler that hangs must not keep a stopping worker alive.

    ``share`` is called for every job and returns what is called at the job's end; the
    host counts by it who works with which snapshot.

    :param wait_ms: how long ``run`` waits for a job.
    :param threads: how many jobs may run at the same time; more are queued.
    """

    def __init__(self, wait_ms: int, threads: int = 32) -> None:
        self.share: Callable[[], Callback] = lambda: _nothing
        self._wait_seconds = wait_ms / 1000
        self._limit = threads
        self._jobs: queue.SimpleQueue[Job | None] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._threads = 0
        self._busy = 0
        self._idle = threading.Condition(self._lock)

    def run(self, callbacks: Sequence[Callback]) -> None:
        """Run callbacks in order and wait for them, at most the bounded time.

        What a handler causes itself runs at once, in the handler's own thread.
        """
        if _job.get() is not None:
            for callback in callbacks:
                callback()
            return
        job = Job(callbacks, over=self.share())
        self._submit(job)
        if not job.wait(self._wait_seconds):
            self._report_overrun(job)

    def drain(self, seconds: float) -> bool:
        """Wait until no job is left, at most so long; say whether none is."""
        deadline = time.monotonic() + seconds
        with self._idle:
            while self._busy:
                left = deadline - time.monotonic()
                if left <= 0:
                    return False
                self._idle.wait(left)
        return True

    def close(self) -> None:
        """Let the idle threads end."""
        with self._lock:
            threads, self._threads = self._threads, 0
        for _ in range(threads):
            self._jobs.put(None)

    def _submit(self, job: Job) -> None:
        with self._lock:
            self._busy += 1
            if self._busy > self._threads and self._threads < self._limit:
                self._threads += 1
                threading.Thread(target=self._work, name="tinybase-handlers", daemon=True).start()
        self._jobs.put(job)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            job.run()
            with self._idle:
                self._busy -= 1
                if not self._busy:
                    self._idle.notify_all()

    def _report_overrun(self, job: Job) -> None:
        handler = job.handler
        if handler is None:
            return
        handler.timeouts += 1
        if handler.may_log(time.monotonic()) is not None:
            _log.warning(
                "extension %s: %s is still running after %d ms (%s); the request did not wait",
                handler.extension,
                handler.handler,
                self._wait_seconds * 1000,
                handler.hook,
            )


def _nothing() -> None:
    """Nobody counts the jobs."""
