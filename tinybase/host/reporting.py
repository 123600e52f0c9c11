"""Telling the extensions of what failed, so that they can report it elsewhere."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from functools import partial
from typing import Final, Protocol

import pluggy

from tinybase.errors import TinyBaseError
from tinybase.host.origin import cause_facts
from tinybase_hookspecs import ErrorEvent

_log = logging.getLogger(__name__)

HOOK: Final = "tinybase_on_error"
MOST_A_MINUTE: Final = 60

_reporting: ContextVar[bool] = ContextVar("tinybase_reporting", default=False)


class Report(Protocol):
    """Tells the extensions of a failure."""

    def __call__(
        self,
        error: BaseException,
        *,
        source: str,
        extension: str | None = None,
        handler: str | None = None,
        method: str | None = None,
        path: str | None = None,
    ) -> None: ...


class ErrorReports:
    """Calls ``on_error``, but not for what goes wrong in ``on_error`` itself.

    :param manager: returns the plugin manager that is in force.
    :param run: runs callbacks, and waits for the handlers that they call, but not for long.
    """

    def __init__(
        self,
        manager: Callable[[], pluggy.PluginManager],
        run: Callable[[Sequence[Callable[[], object]]], None],
    ) -> None:
        self._manager = manager
        self._run = run
        self._lock = threading.Lock()
        self._minute = float("-inf")
        self._count = 0

    def report(
        self,
        error: BaseException,
        *,
        source: str,
        extension: str | None = None,
        handler: str | None = None,
        method: str | None = None,
        path: str | None = None,
    ) -> None:
        """Tell of a failure, unless there are more of them than anybody wants to hear of."""
        hook = getattr(self._manager().hook, HOOK)
        if not hook.get_hookimpls() or _reporting.get() or not self._is_new_enough():
            return
        if isinstance(error, TinyBaseError) and error.code == "extension_error":
            source, extension = "extension", error.members.get("extension")
            handler, error = error.handler, error.__cause__ or error
        event = ErrorEvent(source, error, extension, handler, method, path, **cause_facts())
        token = _reporting.set(True)
        try:
            self._run([partial(hook, event=event)])
        finally:
            _reporting.reset(token)

    def _is_new_enough(self) -> bool:
        """Count a failure; say whether this minute has room for it."""
        with self._lock:
            now = time.monotonic()
            if now - self._minute >= 60:
                left_out = self._count - MOST_A_MINUTE
                if left_out > 0:
                    _log.warning("%d further errors were not told to on_error", left_out)
                self._minute, self._count = now, 0
            self._count += 1
            return self._count <= MOST_A_MINUTE


def report_nothing(error: BaseException, **_: str | None) -> None:
    """Tell nobody, where no application is around."""
