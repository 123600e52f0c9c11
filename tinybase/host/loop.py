"""One event loop for all ``async`` handlers and functions of a process."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar

_T = TypeVar("_T")


class LoopThread:
    """An event loop in a thread of its own, started at the first use.

    It lives as long as the process, so clients that an extension pools across events stay
    usable; a loop per event would close them. After a fork the child starts its own.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    def run(self, awaitable: Awaitable[_T], timeout: float | None = None) -> _T:
        """Wait for something awaitable, from a thread that is not the loop's own.

        What it raises is raised here, ``SystemExit`` included.

        :raises TimeoutError: when it takes longer than ``timeout`` seconds; it is cancelled.
        """
        future = asyncio.run_coroutine_threadsafe(_contained(awaitable), self._running_loop())
        try:
            outcome = future.result(timeout)
        except TimeoutError:
            future.cancel()
            raise
        if isinstance(outcome, _Ended):
            raise outcome.error
        return outcome

    def stop(self) -> None:
        """End the loop; what still runs on it is abandoned."""
        with self._lock:
            if self._loop is not None and self._pid == os.getpid():
                self._loop.call_soon_threadsafe(self._loop.stop)
            self._loop = None

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._pid != os.getpid():
                self._loop = asyncio.new_event_loop()
                self._pid = os.getpid()
                threading.Thread(
                    target=_run_forever, args=(self._loop,), name="tinybase-loop", daemon=True
                ).start()
            return self._loop


@dataclass
class _Ended:
    """What was awaited wanted to end the process."""

    error: BaseException


async def _contained(awaitable: Awaitable[_T]) -> _T | _Ended:
    """Await something; asyncio would let these two exceptions end the loop that all share."""
    try:
        return await awaitable
    except (SystemExit, KeyboardInterrupt) as error:
        return _Ended(error)


def _run_forever(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
    finally:
        loop.close()
