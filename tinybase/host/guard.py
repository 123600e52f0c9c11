"""The guard around every implementation of a hook.

pluggy calls implementations one after another and an exception of one skips the rest. The
guard is put around each implementation when the extension's plugin object is made, so
that a failure stays with the one who failed: it is logged with the names of extension and
handler, counted, and the next implementation runs. The implementation itself runs in a
thread of its extension's own share, so that one that never ends stays with it as well.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import ContextVar
from typing import Any, Protocol

from tinybase.db.loans import Borrower, Loans, begin_borrowing, end_borrowing
from tinybase.errors import Rejected, TinyBaseError
from tinybase.host.answers import ATTRIBUTED, CHECKS, Attributed, check_declared
from tinybase.host.copies import own_event, plain_json
from tinybase.host.dispatch import Batch, collecting
from tinybase.host.kinds import (
    ASKED,
    CHANGEABLE,
    DECIDING,
    IN_TRANSACTION,
    LIFECYCLE,
    PROJECT,
    REJECTABLE,
)
from tinybase.host.loop import LoopThread
from tinybase.host.origin import Endless, current_cause, entered_handler, left_handler
from tinybase.host.recorder import FlightRecorder, Suspect, encode
from tinybase.host.reporting import Report, report_nothing
from tinybase.host.secrets import Secrets
from tinybase.host.shares import Limits, Share, Shares, Task
from tinybase.host.stats import HandlerStats, safe_text
from tinybase.host.tracing import Spans, Step, called
from tinybase_hookspecs import Reject

_log = logging.getLogger(__name__)

_NO_EVENT: Any = object()

_deciding: ContextVar[Share | None] = ContextVar("tinybase_deciding", default=None)
"""The share whose thread decides about an open transaction here, within a bounded time."""


class OpenContext(Protocol):
    """Opens the ``ctx`` of one call of a handler."""

    def __call__(self, handler: str) -> AbstractContextManager[Any]: ...


class Surroundings:
    """What the guards need of the application around them.

    ``scope`` opens what every call gets for itself: an application context, and with it a
    database session of its own. ``open_context`` makes the ``ctx`` of handlers that take
    one. Both are set by the composition root. ``loans`` are the transactions of authors.

    :param recorder: notes which handler is running; without one nothing is noted.
    :param limits: how much an extension may take.
    """

    def __init__(
        self, recorder: FlightRecorder | None = None, limits: Limits | None = None
    ) -> None:
        self.scope: Callable[[], AbstractContextManager[Any]] = nullcontext
        self.recorder = recorder or FlightRecorder(None)
        self.open_context: OpenContext = _no_context
        self.report: Report = report_nothing
        self.spans: Spans | None = None
        self.loans: Loans | None = None
        self.limits = limits or Limits()
        self.secrets = Secrets()
        self._loops: dict[str, LoopThread] = {}
        self._shares: dict[str, Shares] = {}
        self._all: weakref.WeakSet[Shares] = weakref.WeakSet()

    def renew_shares(self, extension: str) -> None:
        """Give an extension threads of its own that nothing hangs in yet."""
        self._shares[extension] = shares = Shares(self.limits)
        self._all.add(shares)

    def shares_of(self, extension: str) -> Shares:
        """Return the threads of an extension."""
        if extension not in self._shares:
            self.renew_shares(extension)
        return self._shares[extension]

    def loop_of(self, extension: str) -> LoopThread:
        """Return the event loop of an extension, which stays the same for its name."""
        return self._loops.get(extension) or self._loops.setdefault(
            extension, LoopThread(extension)
        )

    def stop_loops(self) -> None:
        """End the event loops of all extensions."""
        for loop in list(self._loops.values()):
            loop.stop()

    def all_shares(self) -> list[Share]:
        """Return the threads of all extensions, also of those that are switched off."""
        return [share for shares in list(self._all) for share in shares.both]


class Guard:
    """Runs one implementation, come what may."""

    def __init__(self, stats: HandlerStats, around: Surroundings) -> None:
        self.stats = stats
        self.limits = around.limits
        self.rejectable = stats.hook in REJECTABLE
        self.decides = stats.hook in DECIDING
        self.changes = CHANGEABLE.get(stats.hook)
        self.recorder = around.recorder
        self._around = around
        self._shares = around.shares_of(stats.extension)
        self._loop = around.loop_of(stats.extension)
        self._is_lifecycle = stats.hook in LIFECYCLE
        self._is_asked = stats.hook in ASKED
        self._is_in_transaction = stats.hook in IN_TRANSACTION
        self._check = CHECKS.get(stats.hook)
        self._is_attributed = stats.hook in ATTRIBUTED
        self._mark = encode(Suspect(stats.extension, stats.hook, stats.handler))

    def call(self, function: Callable[[], Any], earlier: list[Step] | None = None) -> Any:
        """Call a function that takes no event; see :meth:`call_with`."""
        return self._call(_Call(self, lambda _: function(), _NO_EVENT, earlier))

    def call_with(
        self, event: Any, function: Callable[[Any], Any], earlier: list[Step] | None = None
    ) -> Any:
        """Call a function with a copy of an event, or have it called soon.

        What it may change of the event it changes for all who come after it.

        :param earlier: shared by the calls that are shown as one.
        :raises Rejected: if it raises ``Reject`` and its hook allows that.
        :raises TinyBaseError: ``extension_error``, if it fails or is late and its hook decides.
        """
        call = _Call(self, function, event, earlier)
        result = self._call(call)
        if self.changes is None:
            return result
        if result is not None:
            setattr(event, self.changes, result)
        return None

    def carry_out(self, function: Callable[[Any], Any], event: Any, call: _Call) -> Any:
        """Return what a function returns, or ``None`` if it fails.

        :raises Rejected: as :meth:`call_with`, and likewise ``TinyBaseError``.
        """
        started = time.perf_counter_ns()
        call.entered = entered = self.recorder.enter(self._mark)
        token = entered_handler(self.stats.handler, self.stats.extension, call.cause)
        borrowed = begin_borrowing(call)
        within = _deciding.set(self._shares.asked if self._is_in_transaction else None)
        try:
            with self._around.scope():
                mine = own_event(event) if event is not _NO_EVENT else None
                result = function(mine)
                if inspect.iscoroutine(result):
                    result = self._loop.run(result)
                if self.changes is None:
                    return self.checked(result)
                return self.changed(event, mine, result)
        except Reject as rejection:
            call.fails(rejection)
            return self.rejected(rejection)
        except BaseException as error:  # SystemExit and the like are errors of the extension too
            if isinstance(error, KeyboardInterrupt) and _is_main_thread():
                raise
            call.fails(error)
            return self.failed(error)
        finally:
            _deciding.reset(within)
            end_borrowing(borrowed)
            left_handler(token)
            call.entered = None
            self.recorder.leave(entered)
            self.stats.count_call(time.perf_counter_ns() - started)

    def changed(self, event: Any, mine: Any, result: Any) -> dict[str, Any]:
        """Return what takes the place of the field of the event that may be changed.

        :param mine: the copy of the event that the implementation had.
        :param result: what it returned.
        :raises TypeError: when that is of no use.
        """
        field = f"event.{self.changes}"
        changed = getattr(mine, self.changes or "") if result is None else result
        if not isinstance(changed, Mapping):
            raise TypeError(
                f"it returned {type(result).__name__}; return a mapping that takes the place "
                f"of {field}, or None"
            )
        if self._check is not None and (fault := self._check(changed)) is not None:
            raise TypeError(fault)
        found: dict[str, Any] = plain_json(dict(changed), field)
        if self.stats.fields is not None:
            check_declared(self.stats.fields, getattr(event, self.changes or ""), found, field)
        return found

    def rejected(self, rejection: Reject) -> None:
        """Take a ``Reject`` for what it is, or for a failure where nothing can be rejected.

        :raises Rejected: for the one who asked.
        """
        if not self.rejectable:
            self.failed(rejection)
            return
        raise Rejected(
            rejection.detail,
            status=rejection.status,
            code=rejection.code,
            extension=self.stats.extension,
        ) from rejection

    def failed(self, error: BaseException) -> None:
        """Count and log a failure.

        :raises TinyBaseError: ``extension_error`` or ``Endless``, if the hook decides.
        """
        self._around.secrets.conceal(error)
        self.stats.count_error(error)
        self._log(error)
        self.fault(f"{type(error).__name__}: {safe_text(error)}")
        if self.decides:
            if isinstance(error, Endless):
                raise error  # whoever asked is told of the whole chain
            raise self._refusal(f"failed in {self._place}") from error
        stats = self.stats
        self._around.report(
            error, source="extension", extension=stats.extension, handler=stats.handler
        )

    def fault(self, what: str) -> None:
        """Count what lets a handler be quarantined when it goes on."""
        # The operator's own code is not taken away from him.
        most = self.limits.quarantine_after if self.stats.extension != PROJECT else 0
        self.stats.fault(what, time.monotonic(), most)

    def with_context(self, call: Callable[[Any], Any]) -> Any:
        """Call something with the ``ctx`` of this handler."""
        with self._around.open_context(self.stats.handler) as ctx:
            result = call(ctx)
            # Awaited here, because the session of ctx is closed when the block ends.
            return self._loop.run(result) if inspect.iscoroutine(result) else result

    def holds_transaction(self, call: _Call) -> bool:
        """Say whether a session of a call has a transaction open."""
        loans = self._around.loans
        return loans is not None and loans.is_held_by(call)

    @property
    def _place(self) -> str:
        return self.stats.hook.removeprefix("tinybase_")

    def _call(self, call: _Call) -> Any:
        if self.stats.quarantine is not None:
            return self._pass_over(call, self.stats.quarantine)
        if self._is_lifecycle:
            call.run()
            return call.outcome()
        if self._is_asked:
            return self._ask(call)
        batch = collecting()
        if batch is not None:
            batch.add(self._shares.told, call)
            return None
        batch = Batch(self.limits)
        batch.begin_event()
        batch.add(self._shares.told, call)
        batch.carry_out()
        return call.outcome()

    def _ask(self, call: _Call) -> Any:
        """Wait for the answer, in a thread of the share or, inside of one that decides, here."""
        share = self._shares.asked
        if self._is_in_transaction and _deciding.get() is share:
            call.run()
            return call.outcome()
        task = Task([call], self.limits.hang_seconds)
        if not share.submit(task):
            return self._unanswered(
                call,
                f"could not be asked in {self._place}, because all of its "
                f"{self.limits.threads} threads hang",
            )
        if task.wait(self.limits.decide_seconds):
            return call.outcome()
        if task.let_go():
            call.give_up(f"it did not answer within {self.limits.decide_seconds:g} s")
            return self._unanswered(
                call, f"did not answer in {self._place} within {self.limits.decide_seconds:g} s"
            )
        return self._unanswered(
            call,
            f"could not be asked in {self._place} within {self.limits.decide_seconds:g} s, "
            "because all of its threads are busy",
        )

    def _unanswered(self, call: _Call, what: str) -> None:
        """Count and log that there is no answer in time.

        :raises TinyBaseError: ``extension_error``, if the hook decides.
        """
        self.stats.timeouts += 1
        call.ends("late")
        if self.stats.may_log(time.monotonic()) is not None:
            _log.error("extension %s: %s %s", self.stats.extension, self.stats.handler, what)
        self.fault(f"it {what}")
        if self.decides:
            raise self._refusal(what)

    def _pass_over(self, call: _Call, reason: str) -> None:
        """Leave a handler in peace that is quarantined.

        :raises TinyBaseError: ``extension_error``, if the hook decides: what was to be
            asked about does not happen unasked.
        """
        self.stats.skipped += 1
        call.ends("quarantined")
        if self.decides:
            raise self._refusal(
                f"is not asked in {self._place} any more, because its handler "
                f"{self.stats.handler} is quarantined: {reason}"
            )

    def _refusal(self, what: str) -> TinyBaseError:
        extension = self.stats.extension
        detail = f"The extension {extension} {what}."
        refusal = TinyBaseError(detail, code="extension_error", extension=extension)
        refusal.handler = self.stats.handler
        return refusal

    def checked(self, answer: Any) -> Any:
        """Return what the host can rely on.

        :raises TypeError: for a bad answer.
        """
        fault = None if answer is None or self._check is None else self._check(answer)
        if fault is not None:
            raise TypeError(fault)
        if answer is not None and self._is_attributed:
            return Attributed(answer, self.failed)
        return answer

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


class _Call(Borrower):
    """One call of an implementation, in whichever thread it is made."""

    __slots__ = (
        "_error",
        "_event",
        "_function",
        "_step",
        "_value",
        "cause",
        "entered",
        "guard",
        "stats",
    )

    def __init__(
        self,
        guard: Guard,
        function: Callable[[Any], Any],
        event: Any,
        earlier: list[Step] | None,
    ) -> None:
        super().__init__()
        self.guard = guard
        self.stats = guard.stats
        self.entered: tuple[int, int] | None = None
        self.cause = current_cause()
        self._function = function
        self._event = event
        self._value: Any = None
        self._error: BaseException | None = None
        self._step = called(guard.stats, event, earlier)

    @property
    def name(self) -> str:
        """Return what it is called in a sentence."""
        return f"The handler {self.stats.handler} of {self.stats.extension}"

    def run(self) -> None:
        """Make it, and keep how it ends."""
        if self._step is None:
            self._run()
            return
        with self._step.running():
            self._run()
            self.ends(self._good_outcome())

    def ends(self, outcome: str) -> None:
        """Tell whoever watches what becomes of it, unless that is known."""
        if self._step is not None:
            self._step.end(outcome)

    def fails(self, error: BaseException) -> None:
        """Tell whoever watches that it fails, or rejects what it was asked about."""
        if self._step is not None:
            self._step.fail(error, may_reject=self.guard.rejectable)

    def _good_outcome(self) -> str:
        field = self.guard.changes
        if self._value is None:
            return "ok"
        if field is None:
            return "answered"
        return "ok" if self._value == getattr(self._event, field) else "changed"

    def _run(self) -> None:
        try:
            self._value = self.guard.carry_out(self._function, self._event, self)
        except BaseException as error:  # noqa: BLE001 - raised again for the one who asked
            self._error = error

    def outcome(self) -> Any:
        """Return its result, or raise what it was refused with."""
        if self._error is None:
            return self._value
        try:
            raise self._error
        finally:
            self._error = None  # it holds on to this frame

    def hangs(self) -> None:
        """Count and log that it takes longer than a handler may, and end its transaction."""
        self.stats.timeouts += 1
        seconds = self.guard.limits.hang_seconds
        if self.guard.holds_transaction(self):
            # One that is merely slow, such as a mail that is sent, may go on and write.
            self.give_up(f"it ran for more than {seconds:g} s")
        if self.stats.may_log(time.monotonic()) is not None:
            _log.error(
                "extension %s: %s hangs in %s: it has been running for more than %d s",
                self.stats.extension,
                self.stats.handler,
                self.stats.hook,
                seconds,
            )
        self.guard.fault(f"it hung for more than {seconds:g} s")

    def let_go(self) -> None:
        """Blame who asked for what they do from now on, even if this never ends."""
        self.guard.recorder.let_go(self.entered)

    def skip(self) -> None:
        """Count and log that it will not be made."""
        self.stats.skipped += 1
        self.ends("skipped")
        if self.stats.may_log(time.monotonic()) is not None:
            _log.error(
                "extension %s: %s is not told of events (%s), because all of its %d threads hang",
                self.stats.extension,
                self.stats.handler,
                self.stats.hook,
                self.guard.limits.threads,
            )


def guard_function(function: Callable[..., Any], guard: Guard) -> Callable[..., Any]:
    """Return a raw hookimpl with the guard around it; pluggy still sees its parameters."""

    @functools.wraps(function)
    def guarded(*arguments: Any) -> Any:
        if not arguments:
            return guard.call(function)
        (event,) = arguments
        return guard.call_with(event, function)

    return guarded


def _no_context(handler: str) -> AbstractContextManager[Any]:
    raise RuntimeError(f"{handler} takes ctx, but no application is running")


def _is_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
