"""Steps that Ctrl-C must not fall into."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Put Ctrl-C off until the block is over.

    Python raises ``KeyboardInterrupt`` after the call that it fell into: a commit that has
    happened would look like one that failed.

    :raises KeyboardInterrupt: at the end, if it was pressed meanwhile.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # no other thread is interrupted
        return
    pressed: list[int] = []
    handler = signal.signal(signal.SIGINT, lambda number, _: pressed.append(number))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if pressed:
            raise KeyboardInterrupt
