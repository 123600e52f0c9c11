"""Handlers run beside the request that caused them.

The request waits for them a bounded time: a fast handler is done before the answer is
sent, a slow one cannot hold the client. Calling a hook in a callback of a transaction only
finds out who is to be told; the calls are made afterwards, those of one extension together,
in a thread of its own share.
"""

from __future__ import annotations

import itertools
import logging
import math
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

from tinybase.host.shares import Limits, Runnable, Share, Task, current_share
from tinybase.host.stats import HandlerStats

_log = logging.getLogger(__name__)

Callback = Callable[[], object]


@dataclass(slots=True)
class _Group:
    """Calls of one extension that come directly one after another."""

    share: Share
    calls: list[Runnable]

    @property
    def extension(self) -> str:
        """Return whose calls they are."""
        return self.calls[0].stats.extension


class Batch:
    """Collects the calls of handlers, event by event, and has them made."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._deadline = time.monotonic() + limits.wait_seconds
        self._events: list[list[_Group]] = []
        self._took: list[tuple[float, _Group]] = []
        self._is_direct = False

    def begin_event(self) -> None:
        """Note that what is added from here on belongs to another event."""
        self._events.append([])

    def add(self, share: Share, call: Runnable) -> None:
        """Add a call to those of the event."""
        if self._is_direct:
            self._carry_out([_Group(share, [call])], None)
            return
        groups = self._events[-1]
        if groups and groups[-1].share is share:
            groups[-1].calls.append(call)
        else:
            groups.append(_Group(share, [call]))

    @contextmanager
    def direct(self) -> Iterator[None]:
        """Make the calls that are added in the block at once, and before it those collected.

        A wrapper surrounds what really happens.
        """
        self.carry_out()
        before, self._is_direct = self._is_direct, True
        try:
            yield
        finally:
            self._is_direct = before

    def carry_out(self, share_snapshot: Callable[[], Callback] | None = None) -> None:
        """Have the collected calls made, and wait for them until the deadline.

        :param share_snapshot: is called once if there are any, and what it returns at their end.
        """
        events = self._events
        groups = events[0] if len(events) == 1 else list(_merged(events))
        self._events = [[]]
        if groups:
            self._carry_out(groups, share_snapshot() if share_snapshot is not None else None)

    def _carry_out(self, groups: Sequence[_Group], over: Callback | None) -> None:
        end = _End(len(groups), over)
        for position, group in enumerate(groups):
            if not self._has_made(group, end):
                # One is late: the others go on without it, those of an extension in order.
                for rest in _by_share(groups[position + 1 :], end):
                    self._submit(rest, end)
                return

    def _has_made(self, group: _Group, end: _End) -> bool:
        """Have calls made; say whether the one who asked may go on waiting for the next.

        What a handler causes for its own extension is done in its own thread.
        """
        if group.share is current_share():
            for call in group.calls:
                call.run()
            end.count_down()
            return True
        task = self._submit(group, end)
        if task is None:
            return True
        began = time.monotonic()
        left = 0.0 if group.share.is_slow else self._deadline - began
        if task.wait(left):
            self._took.append((time.monotonic() - began, group))
            return True
        if left > 0:
            self._report_overrun(task, began, group)
        if task.running is not None:
            task.running.let_go()
        return False

    def _submit(self, group: _Group, end: _End) -> Task | None:
        task = Task(group.calls, self._limits.hang_seconds, end.count_down)
        if group.share.submit(task):
            return task
        task.skip()
        return None

    def _report_overrun(self, task: Task, began: float, group: _Group) -> None:
        """Count and log that a handler is not waited for, and who took the time if not it."""
        running, since, now = task.running, task.since, time.monotonic()
        if running is None or since == math.inf:
            return
        handler = running.stats
        handler.timeouts += 1
        if handler.may_log(now) is None:
            return
        own = now - since
        before, most = max((*self._took, (since - began, group)), key=lambda taken: taken[0])
        who = f", {before * 1000:.0f} ms of it for {most.extension}" if before > own else ""
        _log.warning(
            "extension %s: %s is still running after %.0f ms (%s); the request waited %.0f ms%s",
            handler.extension,
            handler.handler,
            own * 1000,
            handler.hook,
            self._limits.wait_seconds * 1000,
            who,
        )


class _End:
    """Calls something when so many tasks have ended."""

    def __init__(self, tasks: int, over: Callback | None) -> None:
        self._left = tasks
        self._over = over
        self._lock = threading.Lock()

    def count_down(self, tasks: int = 1) -> None:
        """Count tasks that have ended."""
        with self._lock:
            self._left -= tasks
            is_over = self._left == 0
        if is_over and self._over is not None:
            self._over()


_batch: ContextVar[Batch | None] = ContextVar("tinybase_batch", default=None)


def collecting() -> Batch | None:
    """Return the batch to which the calls of handlers are to be added, if there is one."""
    return _batch.get()


class Dispatcher:
    """Runs what was asked for after a commit.

    ``share`` is called for every batch of calls and returns what is called at their end; the
    host counts by it who works with which snapshot.

    :param wait_ms: how long ``run`` waits for handlers.
    """

    def __init__(self, wait_ms: int) -> None:
        self.share: Callable[[], Callback] = lambda: _nothing
        self.limits = Limits(wait_seconds=wait_ms / 1000)
        self._aside = Share(self.limits)

    def run(self, callbacks: Sequence[Callback]) -> None:
        """Run callbacks in order, and wait for the handlers that they call, but not for long."""
        batch = Batch(self.limits)
        token = _batch.set(batch)
        try:
            for callback in callbacks:
                batch.begin_event()
                try:
                    callback()
                except Exception:  # noqa: BLE001
                    # Handlers are guarded one by one, so this is a fault between them: the
                    # write is durable, and the other callbacks must run.
                    _log.exception("telling the extensions about an event failed")
        finally:
            _batch.reset(token)
        batch.carry_out(self.share)

    def aside(self, callback: Callback) -> None:
        """Have something done that is no handler; nobody waits for it. It must not raise."""
        self._aside.submit(Task([_Aside(callback)], self.limits.hang_seconds, self.share()))

    def drain(self, seconds: float, shares: Iterable[Share] = ()) -> bool:
        """Wait until nothing is left to run in some shares, at most so long; say whether it is so.

        What hangs is not waited for.
        """
        deadline = time.monotonic() + seconds
        drained = [share.drain(deadline) for share in (self._aside, *shares)]
        return all(drained)

    def close(self, shares: Iterable[Share] = ()) -> None:
        """Let the idle threads end."""
        for share in (self._aside, *shares):
            share.close()


class _Aside:
    """Something that is no handler, in the form of one."""

    stats = HandlerStats("tinybase", "", "what is done aside")

    def __init__(self, callback: Callback) -> None:
        self._callback = callback

    def run(self) -> None:
        """Do it."""
        self._callback()

    def let_go(self) -> None:
        """Do nothing: nobody waits."""

    hangs = skip = let_go


def _merged(events: Sequence[list[_Group]]) -> Iterator[_Group]:
    """Yield what to do for several events, as few groups as keep the order.

    For each event it is the order in which it has them; for each extension the order of the
    events. Where the same extensions listen, one after the other learns of all events.
    """
    for shares, alike in itertools.groupby(events, lambda groups: [g.share for g in groups]):
        columns = zip(*alike, strict=True)
        for share, column in zip(shares, columns, strict=True):
            yield _Group(share, [call for group in column for call in group.calls])


def _by_share(groups: Sequence[_Group], end: _End) -> list[_Group]:
    """Return the groups with those of one extension put together."""
    found: dict[Share, list[Runnable]] = {}
    for group in groups:
        found.setdefault(group.share, []).extend(group.calls)
    end.count_down(len(groups) - len(found))
    return [_Group(share, calls) for share, calls in found.items()]


def _nothing() -> None:
    """Nobody counts the calls."""
