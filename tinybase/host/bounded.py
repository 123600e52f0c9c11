"""Doing something that may never end, without waiting for ever."""

from __future__ import annotations

import contextvars
import threading
from collections.abc import Callable


def run_bounded(work: Callable[[], object], seconds: float, name: str) -> bool:
    """Run something in a daemon thread and wait at most so long; say whether it ended.

    What it does not finish in time goes on and is no longer waited for. ``work`` must not
    raise.
    """
    context = contextvars.copy_context()
    thread = threading.Thread(target=context.run, args=(work,), name=name, daemon=True)
    thread.start()
    thread.join(seconds)
    return not thread.is_alive()
