"""The event loop of all ``async`` code of one extension in one process."""

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

    It goes on from event to event, so clients that the extension pools stay usable; a loop per
    event would close them. One that others shared would stand still for all while something
    of one extension blocks it. After a fork the child starts its own.

    :param extension: whose it is.
    """

    def __init__(self, extension: str) -> None:
        self._name = f"tinybase-loop-{extension}"
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
        """End the loop, and cancel what still runs on it; the next use starts another one."""
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
                    target=_run_forever, args=(self._loop,), name=self._name, daemon=True
                ).start()
            return self._loop


@dataclass
class _Ended:
    """What was awaited wanted to end the process."""

    error: BaseException


async def _contained(awaitable: Awaitable[_T]) -> _T | _Ended:
    """Await something; asyncio would let these two exceptions end the loop that others share."""
    try:
        return await awaitable
    except (SystemExit, KeyboardInterrupt) as error:
        return _Ended(error)


def _run_forever(loop: asyncio.AbstractEventLoop) -> None:
    asyncio.set_event_loop(loop)
    try:
        loop.run_forever()
        rest = asyncio.all_tasks(loop)
        for task in rest:
            task.cancel()
        loop.run_until_complete(asyncio.gather(*rest, return_exceptions=True))
        loop.run_until_complete(loop.shutdown_asyncgens())
    finally:
        loop.close()
