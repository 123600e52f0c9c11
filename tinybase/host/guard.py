"""The guard around every implementation of a hook.

pluggy calls implementations one after another and an exception of one skips the rest. The
guard is put around each implementation when the extension's plugin object is made, so
that a failure stays with the one who failed: it is logged with the names of extension and
handler, counted, and the next implementation runs.
"""

from __future__ import annotations

import copy
import functools
import inspect
import logging
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

from tinybase.errors import Rejected, TinyBaseError
from tinybase.host.answers import CHECKS
from tinybase.host.dispatch import now_running
from tinybase.host.kinds import CHANGEABLE, DECIDING, REJECTABLE
from tinybase.host.loop import LoopThread
from tinybase.host.origin import inside_handler
from tinybase.host.recorder import FlightRecorder, Suspect, encode
from tinybase.host.stats import HandlerStats, safe_text
from tinybase_hookspecs import Reject

_log = logging.getLogger(__name__)


class OpenContext(Protocol):
    """Opens the ``ctx`` of one call of a handler."""

    def __call__(self, handler: str) -> AbstractContextManager[Any]: ...


class Surroundings:
    """What the guards need of the application around them.

    ``scope`` opens what every call gets for itself: an application context, and with it a
    database session of its own. ``open_context`` makes the ``ctx`` of handlers that take
    one. Both are set by the composition root.

    :param recorder: notes which handler is running; without one nothing is noted.
    """

    def __init__(self, recorder: FlightRecorder | None = None) -> None:
        self.scope: Callable[[], AbstractContextManager[Any]] = nullcontext
        self.recorder = recorder or FlightRecorder(None)
        self.open_context: OpenContext = _no_context
        self.loop = LoopThread()


class Guard:
    """Runs one implementation, come what may."""

    def __init__(self, stats: HandlerStats, around: Surroundings) -> None:
        self.stats = stats
        self._around = around
        self._rejectable = stats.hook in REJECTABLE
        self._decides = stats.hook in DECIDING
        self._changes = CHANGEABLE.get(stats.hook)
        self._check = CHECKS.get(stats.hook)
        self._recorder = around.recorder
        self._mark = encode(Suspect(stats.extension, stats.hook, stats.handler))

    def call(self, function: Callable[[], Any]) -> Any:
        """Return what the function returns, or ``None`` if it fails.

        :raises Rejected: if it raises ``Reject`` and its hook allows that.
        :raises TinyBaseError: ``extension_error``, if it fails and its hook decides.
        """
        started = time.perf_counter_ns()
        now_running(self.stats)
        entered = self._recorder.enter(self._mark)
        try:
            with inside_handler(self.stats.handler), self._around.scope():
                result = function()
                if inspect.iscoroutine(result):
                    result = self._around.loop.run(result)
                return result
        except Reject as rejection:
            if not self._rejectable:
                return self.failed(rejection)
            raise Rejected(
                rejection.detail,
                status=rejection.status,
                code=rejection.code,
                extension=self.stats.extension,
            ) from rejection
        except BaseException as error:  # SystemExit and the like are errors of the extension too
            if isinstance(error, KeyboardInterrupt) and _is_main_thread():
                raise
            return self.failed(error)
        finally:
            self._recorder.leave(entered)
            now_running(None)
            self.stats.count_call(time.perf_counter_ns() - started)

    def call_with(self, event: Any, function: Callable[[Any], Any]) -> Any:
        """Call a function with a copy of an event, as :meth:`call` does.

        What it may change of the event it changes for all who come after it.
        """
        mine = own_event(event)
        result = self.call(lambda: function(mine))
        if self._changes is None:
            return self._checked(result)
        changed = getattr(mine, self._changes) if result is None else result
        if not isinstance(changed, Mapping):
            error = TypeError(
                f"it returned {type(result).__name__}; return a mapping that takes the place "
                f"of event.{self._changes}, or None"
            )
            return self.failed(error)
        setattr(event, self._changes, own_json(dict(changed)))
        return None

    def _checked(self, answer: Any) -> Any:
        """Return what the host can rely on; a bad answer is a failure."""
        fault = None if answer is None or self._check is None else self._check(answer)
        return answer if fault is None else self.failed(TypeError(fault))

    def recorded(self) -> AbstractContextManager[None]:
        """Note the implementation in the flight recorder while the block runs."""
        return self._recorder.during(
            Suspect(self.stats.extension, self.stats.hook, self.stats.handler)
        )

    def failed(self, error: BaseException) -> None:
        """Count and log a failure.

        :raises TinyBaseError: ``extension_error``, if the hook decides.
        """
        self.stats.count_error(error)
        self._log(error)
        if self._decides:
            raise TinyBaseError(
                f"The extension {self.stats.extension} failed in "
                f"{self.stats.hook.removeprefix('tinybase_')}.",
                code="extension_error",
                extension=self.stats.extension,
            ) from error

    def _log(self, error: BaseException) -> None:
        unlogged = self.stats.may_log(time.monotonic())
        if unlogged is None:
            return
        more = f" ({unlogged} more since the last report)" if unlogged else ""
        _log.error(
            "extension %s: %s failed in %s: %s: %s%s",
            self.stats.extension,
            self.stats.handler,
            self.stats.hook,
            type(error).__name__,
            safe_text(error),
            more,
            exc_info=error,
        )

    def with_context(self, call: Callable[[Any], Any]) -> Any:
        """Call something with the ``ctx`` of this handler."""
        with self._around.open_context(self.stats.handler) as ctx:
            result = call(ctx)
            # Awaited here, because the session of ctx is closed when the block ends.
            return self._around.loop.run(result) if inspect.iscoroutine(result) else result


def guard_function(function: Callable[..., Any], guard: Guard) -> Callable[..., Any]:
    """Return a raw hookimpl with the guard around it; pluggy still sees its parameters."""

    @functools.wraps(function)
    def guarded(*arguments: Any) -> Any:
        if not arguments:
            return guard.call(function)
        (event,) = arguments
        return guard.call_with(event, function)

    return guarded


def guard_wrapper(
    function: Callable[..., Generator[None, Any, Any]], guard: Guard, *, old_style: bool
) -> Callable[..., Generator[None, Any, Any]]:
    """Return a raw hook wrapper with the guard around it.

    A wrapper that fails before it yields is skipped; one that fails afterwards leaves the
    result as it was.
    """

    @functools.wraps(function)
    def guarded(*arguments: Any) -> Generator[None, Any, Any]:
        wrapper = function(*own(arguments))
        started = time.perf_counter_ns()
        try:
            with guard.recorded():
                next(wrapper)
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the extension's
            guard.failed(error)
            return (yield)
        finally:
            guard.stats.count_call(time.perf_counter_ns() - started)
        outcome = yield
        try:
            with guard.recorded():
                wrapper.send(outcome)
        except StopIteration as stop:
            return outcome if old_style else stop.value
        except BaseException as error:  # noqa: BLE001 - likewise
            guard.failed(error)
        return outcome

    return guarded


def own(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return copies of the events among some arguments."""
    return tuple(own_event(a) if hasattr(a, "event_id") else a for a in arguments)


def own_event(event: Any) -> Any:
    """Return a copy of an event whose data can be changed without anybody noticing."""
    clone = copy.copy(event)
    for name, value in vars(event).items():
        if isinstance(value, dict):
            setattr(clone, name, own_json(value))
    return clone


def own_json(value: Any) -> Any:
    """Return a copy of a JSON value."""
    if isinstance(value, dict):
        return {key: own_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [own_json(item) for item in value]
    return value


def _no_context(handler: str) -> AbstractContextManager[Any]:
    raise RuntimeError(f"{handler} takes ctx, but no application is running")


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
