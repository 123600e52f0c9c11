"""Running something that may never end, and deciding once how it ended."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Ending:
    """How a call ended: with a value, or with an error."""

    value: Any = None
    error: BaseException | None = None


Settle = Callable[[], None]


class Run:
    """A body that runs in a thread of its own, in the context of its maker.

    The body is given ``settle``, which it calls before it does what cannot be undone. From
    then on the deadline does not count any more; after the deadline ``settle`` raises
    ``TimeoutError``. So a call that was reported as failed never takes effect afterwards.
    """

    def __init__(self, body: Callable[[Settle], Any], name: str) -> None:
        self._body = body
        self._decided = threading.Lock()
        self._over = threading.Event()
        self._ending = Ending()
        context = contextvars.copy_context()
        # A daemon, because a function that hangs must not keep a stopping worker alive.
        threading.Thread(target=context.run, args=(self._work,), name=name, daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Say whether the thread has finished with the body."""
        return self._over.is_set()

    def wait(self, seconds: float) -> Ending:
        """Wait for the end, or for the deadline, whichever comes first."""
        if not self._over.wait(seconds) and self._decided.acquire(blocking=False):
            return Ending(error=TimeoutError(f"It ran longer than {seconds:g} seconds."))
        self._over.wait()  # settled before the deadline: what remains is the commit
        return self._ending

    def _work(self) -> None:
        try:
            self._ending = Ending(self._body(self._settle))
        except BaseException as error:  # noqa: BLE001 - SystemExit ends the call, not the worker
            self._ending = Ending(error=error)
        finally:
            self._over.set()

    def _settle(self) -> None:
        if not self._decided.acquire(blocking=False):
            raise TimeoutError("The deadline has passed.")
