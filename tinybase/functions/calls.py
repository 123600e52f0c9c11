"""The service that calls functions."""

from __future__ import annotations

import inspect
import logging
import threading
import time
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import RowMapping

from tinybase import cores
from tinybase.actors import Actor, ActorKind
from tinybase.config import Config
from tinybase.db import Database
from tinybase.db.loans import Borrower, NamedBorrower, borrowing
from tinybase.errors import Rejected, TinyBaseError
from tinybase.functions.contexts import Contexts
from tinybase.functions.deadline import Ending, Run, Settle
from tinybase.functions.errors import ValidationError
from tinybase.functions.journal import CallJournal, CallPage, error_texts
from tinybase.functions.results import plain_json
from tinybase.functions.table import Function, FunctionTable
from tinybase.host import Host, caused_by, event_facts
from tinybase.host.plugin import is_heard
from tinybase.host.recorder import FUNCTION, Suspect
from tinybase.host.snapshot import PROJECT
from tinybase.host.stats import safe_text
from tinybase.host.tracing import calling
from tinybase_hookspecs import (
    BeforeFunctionCallEvent,
    FunctionCallEvent,
    FunctionCompleteEvent,
    Reject,
)

_log = logging.getLogger(__name__)


class SettingValues(Protocol):
    """The settings of the instance, as far as functions need them."""

    def value(self, key: str) -> Any:
        """Return the value of one setting."""


@dataclass(frozen=True)
class CallOutcome:
    """How a call ended; ``result`` holds plain JSON values."""

    call_id: UUID
    status: str
    result: Any
    error_message: str | None
    error_type: str | None
    duration_ms: int


@dataclass(frozen=True)
class _Call:
    """One call on its way: what is called, by whom, with what."""

    function: Function
    actor: Actor
    payload: Mapping[str, Any]
    trigger_type: str
    trigger_id: UUID | None
    request: Any
    caller: str
    facts: Mapping[str, Any]


class Functions:
    """Calls functions and remembers how that went."""

    def __init__(
        self,
        database: Database,
        config: Config,
        host: Host,
        settings: SettingValues,
        contexts: Contexts,
    ) -> None:
        self._config = config.functions
        self._host = host
        self._settings = settings
        self._contexts = contexts
        self._journal = CallJournal(database, self._config.timeout_seconds)
        self._overdue = _Overdue()
        self._cores = cores.usable()

    # --- what there is ---------------------------------------------------------------

    def list(self, actor: Actor) -> list[Function]:
        """Return the functions that somebody may call, by name."""
        return [function for function in self._table() if function.admits(actor)]

    def get(self, name: str) -> Function:
        """Return a function.

        :raises NotFound: if there is none of that name.
        """
        return self._table().get(name)

    def admit(self, actor: Actor, name: str) -> Function:
        """Return a function that somebody may call.

        :raises NotFound: if there is none of that name.
        :raises Unauthenticated: for an anonymous caller, unless it is public.
        :raises Forbidden: for a caller whose level or scope does not suffice.
        """
        function = self.get(name)
        function.require(actor)
        return function

    # --- calling ---------------------------------------------------------------------

    def call(
        self,
        actor: Actor,
        name: str,
        payload: Mapping[str, Any],
        *,
        trigger_type: str = "manual",
        trigger_id: UUID | None = None,
        request: Any = None,
        address: str | None = None,
    ) -> CallOutcome:
        """Call a function and return how that ended; a failing function is an outcome too.

        :param address: where an anonymous caller calls from; it shares one limit of
            concurrent calls with everybody there.
        :raises TinyBaseError: when the caller may not call it or has too many calls
            running, and ``Rejected`` when an extension vetoes it.
        """
        function = self.admit(actor, name)
        call = _Call(
            function=function,
            actor=actor,
            payload=payload,
            trigger_type=trigger_type,
            trigger_id=trigger_id,
            request=request,
            caller=_caller(actor, address),
            facts=event_facts(),
        )
        call_id = self._begin(call)
        started = time.perf_counter_ns()
        try:
            ending = self._carry_out(call)
        except BaseException as error:
            self._finish(call, call_id, Ending(error=error), started)
            raise
        return self._finish(call, call_id, ending, started)

    def _begin(self, call: _Call) -> UUID:
        row = {
            "function_name": call.function.name,
            "trigger_type": call.trigger_type,
            "trigger_id": call.trigger_id,
            "requested_by_user_id": call.actor.user_id,
            "caller": call.caller,
        }
        overdue = self._overdue.count(call.caller)
        return self._journal.begin(row, limit=self._limit(call.actor), taken=overdue)

    def _limit(self, actor: Actor) -> int | None:
        """Return how many calls of one caller may run at once; the server has no limit."""
        if actor.kind is ActorKind.SYSTEM:
            return None
        setting = self._settings.value("max_concurrent_functions_per_user")
        return self._config.max_concurrent_per_user if setting is None else int(setting)

    def _carry_out(self, call: _Call) -> Ending:
        argument = _load(call)
        if not isinstance(argument, Ending):
            wanted = self._as_extensions_want(call)
            if wanted is not call:
                call, argument = wanted, _load(wanted)
        if isinstance(argument, Ending):
            return argument
        self._announce(call)
        owner = call.function.extension or PROJECT
        borrower = NamedBorrower(f"The function {call.function.name} of {owner}")
        body = partial(self._body, call, argument, borrower)
        run = Run(body, f"function-{call.function.name}")
        ending = run.wait(self._config.timeout_seconds)
        if not run.is_over:
            borrower.give_up(f"it ran longer than {self._config.timeout_seconds} s")
            self._overdue.add(call.caller, run)
        if ending.error is not None:
            self._host.around.secrets.conceal(ending.error)
            _log_failure(call.function, "failed", ending.error)
            self._report(call.function, ending.error)
        return ending

    def _report(self, function: Function, error: BaseException) -> None:
        """Tell the extensions of a failure that nobody had foreseen."""
        if isinstance(error, Reject | ValidationError) or (
            isinstance(error, TinyBaseError) and error.status < 500
        ):
            return
        self._host.around.report(
            error, source="function", extension=function.extension, handler=function.name
        )

    def _as_extensions_want(self, call: _Call) -> _Call:
        """Return the call with the payload that the extensions make of it; itself, if none does.

        :raises TinyBaseError: ``Rejected`` or ``extension_error``.
        """
        name, payload = call.function.name, dict(call.payload)
        hook = self._host.pm.hook.tinybase_before_function_call
        if not is_heard(hook, "function_name", name):
            return call
        event = BeforeFunctionCallEvent(name, call.actor.user_id, payload, **call.facts)
        hook(event=event)
        return replace(call, payload=event.payload)

    def _announce(self, call: _Call) -> None:
        hook = self._host.pm.hook
        if hook.tinybase_on_function_call.get_hookimpls():
            hook.tinybase_on_function_call(
                event=FunctionCallEvent(
                    call.function.name, call.actor.user_id, dict(call.payload), **call.facts
                )
            )

    def _body(self, call: _Call, argument: Any, borrower: Borrower, settle: Settle) -> Any:
        """Run the function; this is what happens in the thread."""
        cores.keep_to(self._cores)
        function = call.function
        suspect = Suspect(function.extension or PROJECT, FUNCTION, function.name)
        with (
            self._host.around.recorder.during(suspect),
            borrowing(borrower),
            calling(suspect.extension, FUNCTION, function.name, self._host.around.spans),
            caused_by(actor=call.actor, origin="function", extension=suspect.extension),
            self._host.around.scope(),
            self._contexts.open(
                function_name=function.name,
                actor=call.actor,
                trigger_type=call.trigger_type,
                trigger_id=call.trigger_id,
                request=call.request,
                log=logging.getLogger(function.module or __name__),
            ) as ctx,
        ):
            value = function.run(argument, ctx)
            if inspect.isawaitable(value):
                value = self._await(function, value)
            # Dumped while the session is open: the value may be an object of it.
            result = self._dump(function, value)
            settle()
        return result

    def _await(self, function: Function, awaitable: Awaitable[Any]) -> Any:
        loop = self._host.around.loop_of(function.extension or PROJECT)
        return loop.run(awaitable, self._config.timeout_seconds)

    def _dump(self, function: Function, value: Any) -> Any:
        model = function.output_model
        dumped = value if model is None else model.dump(value)
        return plain_json(dumped, self._config.max_result_bytes)

    def _finish(self, call: _Call, call_id: UUID, ending: Ending, started: int) -> CallOutcome:
        duration_ms = (time.perf_counter_ns() - started) // 1_000_000
        error_type, error_message = _told(ending.error)
        status = "succeeded" if error_type is None else "failed"
        hook = self._host.pm.hook

        def tell() -> None:
            if hook.tinybase_on_function_complete.get_hookimpls():
                hook.tinybase_on_function_complete(
                    event=FunctionCompleteEvent(
                        call.function.name,
                        call.actor.user_id,
                        status,
                        duration_ms,
                        error_message,
                        error_type,
                        **call.facts,
                    )
                )

        self._journal.finish(
            call_id,
            duration_ms=duration_ms,
            error_type=error_type,
            error_message=error_message,
            after_commit=tell,
        )
        return CallOutcome(call_id, status, ending.value, error_message, error_type, duration_ms)

    # --- what was called -------------------------------------------------------------

    def calls(
        self,
        *,
        function_name: str | None = None,
        status: str | None = None,
        trigger_type: str | None = None,
        limit: int = 100,
        offset: int = 0,
    ) -> CallPage:
        """Return calls, newest first."""
        filters = {"function_name": function_name, "status": status, "trigger_type": trigger_type}
        return self._journal.page(filters, limit, offset)

    def get_call(self, call_id: UUID) -> RowMapping:
        """Return one call.

        :raises NotFound: if there is none of that id.
        """
        return self._journal.get(call_id)

    def count_abandoned(self) -> int:
        """Return how many calls are recorded as running whose process is gone."""
        return self._journal.count_abandoned()

    def close_abandoned(self) -> int:
        """Record calls as failed whose process is gone; for a worker that starts."""
        closed = self._journal.close_abandoned()
        if closed:
            _log.warning("%d function calls were interrupted by the end of their worker", closed)
        return closed

    def _table(self) -> FunctionTable:
        table = self._host.functions
        assert isinstance(table, FunctionTable)  # noqa: S101 - the composition root made it
        return table


class _Overdue:
    """Runs that missed their deadline and still occupy a thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: list[tuple[str, Run]] = []

    def add(self, caller: str, run: Run) -> None:
        """Count a run until it is over."""
        with self._lock:
            self._runs.append((caller, run))

    def count(self, caller: str) -> int:
        """Return how many of a caller's runs are not over yet."""
        with self._lock:
            self._runs = [(who, run) for who, run in self._runs if not run.is_over]
            return sum(who == caller for who, _ in self._runs)


def _load(call: _Call) -> Any:
    """Return what the function is called with; an ``Ending`` if the payload does not fit."""
    model = call.function.input_model
    try:
        return dict(call.payload) if model is None else model.load(call.payload)
    except ValidationError as error:
        return Ending(error=error)
    except Exception as error:  # noqa: BLE001 - a validator of the author may raise anything
        _log_failure(call.function, "has an input model that failed", error)
        return Ending(error=error)


def _log_failure(function: Function, how: str, error: BaseException) -> None:
    _log.warning(
        "extension %s: the function %s %s: %s: %s",
        function.extension or PROJECT,
        function.name,
        how,
        type(error).__name__,
        safe_text(error),
        exc_info=error,
    )


def _caller(actor: Actor, address: str | None) -> str:
    """Return what the limit of concurrent calls counts by."""
    if actor.user_id is not None:
        return f"user:{actor.user_id}"
    if actor.token_id is not None:
        return f"token:{actor.token_id}"
    return f"address:{address}" if actor.is_anonymous else actor.kind.value


def _told(error: BaseException | None) -> tuple[str | None, str | None]:
    """Return the type and the text of an error, as the record of the call has them."""
    if error is None:
        return None, None
    error_type, message = error_texts(error)
    if isinstance(error, TinyBaseError) and error.code == "extension_error":
        error_type = "ExtensionError"
    return ("Reject" if isinstance(error, Rejected) else error_type), message
