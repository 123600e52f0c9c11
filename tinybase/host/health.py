"""The health checks that extensions contribute."""

from __future__ import annotations

import contextvars
import inspect
import logging
import threading
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Final

from tinybase.db.loans import NamedBorrower, borrowing
from tinybase.extensions.health import check_declaration
from tinybase.extensions.signatures import HandlerError, read_arguments
from tinybase.host.contributions import Contribution
from tinybase.host.guard import Surroundings
from tinybase.host.origin import current_cause, entered_handler, left_handler
from tinybase.host.recorder import Suspect
from tinybase.host.snapshot import Snapshot
from tinybase.host.stats import HandlerStats, safe_text
from tinybase_hookspecs import HealthCheckDeclaration

_log = logging.getLogger(__name__)

HOOK: Final = "tinybase_register_health_checks"
WAIT_SECONDS = 2.0
REMEMBERED_SECONDS = 5.0

_PREFIX = "health check "


def check(owner: str, declaration: HealthCheckDeclaration, taken: Sequence[Contribution]) -> None:
    """Refuse a check without a usable name, or with one that its owner has used already.

    :raises HandlerError: with what is wrong and the remedy.
    """
    check_declaration(declaration)
    if any(who == owner and other.name == declaration.name for who, other in taken):
        raise HandlerError(
            f"there are two health checks called {declaration.name!r}. "
            "Give one of them another name."
        )


class HealthChecks:
    """Runs the checks of all extensions, at the same time and not too often.

    A check that hangs keeps the one thread it has: it is not run again before it has ended.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._lock = threading.Lock()
        self._runs: dict[int, _Run] = {}
        self._known: tuple[Snapshot, float, dict[tuple[str, str], str]] | None = None
        self._changed = threading.Event()

    def has_changed(self) -> bool:
        """Say whether the states show something else than when this was asked before."""
        is_set = self._changed.is_set()
        self._changed.clear()
        return is_set

    def look(self, snapshot: Snapshot) -> bool:
        """Run the checks if it is time, and show in the states what they say.

        :returns: whether all is well.
        """
        contributions = snapshot.contributions.of(HOOK)
        if not contributions:
            return True
        with self._lock:
            known = self._known
            now = time.monotonic()
            if known is None or known[0] is not snapshot or now >= known[1]:
                faults = self._run(snapshot, contributions)
                _tell(known[2] if known else {}, faults)
                if _show(snapshot, faults):
                    self._changed.set()
                until = time.monotonic() + REMEMBERED_SECONDS
                self._known = known = (snapshot, until, faults)
            return not known[2]

    def _run(
        self, snapshot: Snapshot, contributions: Sequence[Contribution]
    ) -> dict[tuple[str, str], str]:
        """Return what is wrong, by owner and name of the check."""
        before, self._runs = self._runs, {}
        for owner, declaration in contributions:
            run = before.get(id(declaration))
            if run is None or run.is_over or run.declaration is not declaration:
                stats = snapshot.loaded[owner].plugin.counter(HOOK, declaration.name)
                run = _Run(declaration, stats, self._around)
            self._runs[id(declaration)] = run
        deadline = time.monotonic() + WAIT_SECONDS
        faults = {}
        for owner, declaration in contributions:
            fault = self._runs[id(declaration)].fault_by(deadline)
            if fault is not None:
                faults[owner, declaration.name] = fault
        return faults


class _Run:
    """One run of a check, in a thread of its own."""

    def __init__(
        self, declaration: HealthCheckDeclaration, stats: HandlerStats, around: Surroundings
    ) -> None:
        self.declaration = declaration
        self._stats = stats
        self._around = around
        self._fault: str | None = None
        self._borrower = NamedBorrower(f"The health check {declaration.name} of {stats.extension}")
        context = contextvars.copy_context()
        self._thread = threading.Thread(
            target=context.run, args=(self._check,), name=f"health-{stats.extension}", daemon=True
        )
        self._thread.start()

    @property
    def is_over(self) -> bool:
        """Say whether it has ended."""
        return not self._thread.is_alive()

    def fault_by(self, deadline: float) -> str | None:
        """Return what is wrong; to take longer is a fault, too."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        if self.is_over:
            return self._fault
        self._stats.timeouts += 1
        self._borrower.give_up(f"it did not end within {WAIT_SECONDS:g} s")
        return f"it did not end within {WAIT_SECONDS:g} s"

    def _check(self) -> None:
        started = time.perf_counter_ns()
        name = self.declaration.name
        arguments = read_arguments("health_check", self.declaration.check, has_event=False)
        token = entered_handler(name, self._stats.extension, current_cause())
        try:
            with (
                self._around.recorder.during(Suspect(self._stats.extension, HOOK, name)),
                borrowing(self._borrower),
                self._around.scope(),
                self._around.open_context(name)
                if arguments.wants_context
                else nullcontext() as ctx,
            ):
                result: Any = arguments.bind(self.declaration.check)(None, ctx)
                if inspect.iscoroutine(result):
                    self._around.loop_of(self._stats.extension).run(result)
        except BaseException as error:  # noqa: BLE001 - whatever it is, something is not well
            self._around.secrets.conceal(error)
            self._stats.count_error(error)
            self._fault = f"{type(error).__name__}: {safe_text(error)}"
        finally:
            left_handler(token)
            self._stats.count_call(time.perf_counter_ns() - started)


def _tell(before: dict[tuple[str, str], str], now: dict[tuple[str, str], str]) -> None:
    """Log what has become worse or better."""
    for (owner, name), fault in now.items():
        if before.get((owner, name)) != fault:
            _log.warning("extension %s: health check %s failed: %s", owner, name, fault)
    for owner, name in before.keys() - now.keys():
        _log.info("extension %s: health check %s is well again", owner, name)


def _show(snapshot: Snapshot, faults: dict[tuple[str, str], str]) -> bool:
    """Show in the states of extensions that run what is wrong, unless they have worse to say.

    :returns: whether that is news.
    """
    is_news = False
    for name, state in list(snapshot.states.items()):
        if state.status != "enabled" or not (state.reason or _PREFIX).startswith(_PREFIX):
            continue
        reasons = [
            f"{_PREFIX}{what} failed: {f}" for (who, what), f in faults.items() if who == name
        ]
        reason = "; ".join(reasons) or None
        if reason != state.reason:
            snapshot.states[name] = replace(state, reason=reason)
            is_news = True
    return is_news
