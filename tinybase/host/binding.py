"""Which snapshot somebody works with, and until when."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar

from tinybase.host.snapshot import Snapshot


class _Hold:
    """What one request holds on to, for as long as a block runs."""

    __slots__ = ("_binding", "_token", "snapshot")

    snapshot: Snapshot

    def __init__(self, binding: Binding) -> None:
        self._binding = binding

    def __enter__(self) -> None:
        self.snapshot = self._binding.enter()
        self._token = self._binding.held.set(self)

    def __exit__(self, *_: object) -> None:
        self._binding.held.reset(self._token)
        self.snapshot.leave()


class Binding:
    """The snapshot in force, and the older ones that requests in flight still keep."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.current = snapshot
        self.held: ContextVar[_Hold | None] = ContextVar("tinybase_snapshot", default=None)

    @property
    def snapshot(self) -> Snapshot:
        """Return the snapshot that the present request keeps to, else the one in force."""
        hold = self.held.get()
        return self.current if hold is None else hold.snapshot

    def bound(self) -> AbstractContextManager[None]:
        """Keep to one snapshot while the block runs, whatever is switched meanwhile."""
        return _Hold(self)

    @contextmanager
    def released(self) -> Iterator[None]:
        """Let go of the snapshot while the block runs, then keep to the one in force.

        For a request that switches: it would wait for itself, or two of them for each
        other, and would not see what it has done.
        """
        hold = self.held.get()
        if hold is None:
            yield
            return
        hold.snapshot.leave()
        token = self.held.set(None)
        try:
            yield
        finally:
            self.held.reset(token)
            hold.snapshot = self.enter()

    def share(self) -> Callable[[], None]:
        """Count a job that outlives its request; return what counts it out again."""
        snapshot = self.snapshot
        snapshot.enter()
        return snapshot.leave

    def enter(self) -> Snapshot:
        """Count somebody who works with the snapshot in force, and return it."""
        while True:
            snapshot = self.current
            snapshot.enter()
            if snapshot is self.current:
                return snapshot
            # Switched in between: whoever waits for its last user may not have seen us.
            snapshot.leave()


class Retirement:
    """The end of extensions that are part of no snapshot any more.

    They are shut down after the last request that could reach them, in a thread of its
    own: a long request must not keep later switches waiting.
    """

    def __init__(self, names: frozenset[str], work: Callable[[], None]) -> None:
        self.names = names
        self._done = threading.Event()
        self._work = work
        threading.Thread(target=self._run, name="tinybase-retire", daemon=True).start()

    @property
    def is_done(self) -> bool:
        """Say whether they are shut down."""
        return self._done.is_set()

    def wait(self) -> None:
        """Wait for the end; each step of it takes a bounded time."""
        self._done.wait()

    def _run(self) -> None:
        try:
            self._work()
        finally:
            self._done.set()
