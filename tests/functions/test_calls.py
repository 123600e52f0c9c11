"""Calling functions: what the caller, the record and the hooks are told."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import threading

import marshmallow
import pytest
from marshmallow import fields
from pydantic import BaseModel
from sqlalchemy import insert, select

from tinybase.actors import ANONYMOUS, SYSTEM
from tinybase.db import tables
from tinybase.db.models import Collection, Record
from tinybase.errors import Conflict, Forbidden, NotFound, Rejected, Unauthenticated
from tinybase.extensions.rows import claim
from tinybase.host import caused_by, current_cause

from .guide_functions import SyncInput, SyncOutput, sync_all_records


class Numbers(BaseModel):
    a: int
    b: int = 2


@dataclasses.dataclass
class Sum:
    sum: int


def failure(outcome):
    assert (outcome.status, outcome.result) == ("failed", None)
    return outcome.error_type, outcome.error_message


def test_a_call_returns_the_result(functions, offer, caller):
    @offer
    def add(payload: Numbers) -> Sum:
        return Sum(payload.a + payload.b)

    outcome = functions.call(caller, "add", {"a": 1})

    assert (outcome.status, outcome.result) == ("succeeded", {"sum": 3})
    assert (outcome.error_type, outcome.error_message) == (None, None)
    assert outcome.duration_ms >= 0


def test_a_call_is_recorded(functions, offer, caller):
    offer(lambda: 1, name="one")

    outcome = functions.call(caller, "one", {})

    call = functions.get_call(outcome.call_id)
    assert call["function_name"] == "one"
    assert call["status"] == "succeeded"
    assert call["trigger_type"] == "manual"
    assert call["requested_by_user_id"] == caller.user_id
    assert call["duration_ms"] == outcome.duration_ms
    assert call["started_at"] <= call["finished_at"]
    assert (call["error_type"], call["error_message"]) == (None, None)


def test_the_hooks_are_told_before_and_after(functions, offer, caller, told):
    seen = []

    @offer
    def add(payload: Numbers):
        seen.append(len(told.calls))
        return payload.a

    with caused_by(actor=caller, origin="http", request_id="r-1"):
        outcome = functions.call(caller, "add", {"a": 1})

    (before,), (after,) = told.calls, told.completions
    assert seen == [1]
    assert (before.function_name, before.user_id, before.payload) == (
        "add",
        caller.user_id,
        {"a": 1},
    )
    assert (after.function_name, after.user_id, after.status) == (
        "add",
        caller.user_id,
        "succeeded",
    )
    assert (after.duration_ms, after.error_type) == (outcome.duration_ms, None)
    for event in (before, after):
        assert (event.request_id, event.actor, event.origin) == ("r-1", "user", "http")


def test_the_completion_is_told_after_the_record_is_committed(functions, offer, host, caller):
    statuses = []

    class Reader:
        def tinybase_on_function_complete(self, event):
            statuses.append(functions.calls().calls[0]["status"])

    Reader.tinybase_on_function_complete.tinybase_impl = {}  # what the marker leaves
    host.pm.register(Reader())
    offer(lambda: 1, name="one")

    functions.call(caller, "one", {})

    assert statuses == ["succeeded"]


class Trouble(Exception):
    pass


@dataclasses.dataclass
class Odd(BaseException):
    def __str__(self):
        raise RuntimeError


@pytest.mark.parametrize(
    ("error", "error_type", "message"),
    [
        (ZeroDivisionError("Division by zero"), "ZeroDivisionError", "Division by zero"),
        (Trouble(), "Trouble", "Trouble"),
        (SystemExit(3), "SystemExit", "3"),
        (KeyboardInterrupt(), "KeyboardInterrupt", "KeyboardInterrupt"),
        (GeneratorExit(), "GeneratorExit", "GeneratorExit"),
        (asyncio.CancelledError(), "CancelledError", "CancelledError"),
        (StopIteration("s"), "StopIteration", "s"),
        (TimeoutError("slow"), "TimeoutError", "slow"),
        (NotFound("Record 'x' not found"), "NotFound", "Record 'x' not found"),
        (Odd(), "Odd", "Odd"),
        (ValueError("a\0b\ud800"), "ValueError", "a�b?"),
        (ValueError("x" * 20_000), "ValueError", "x" * 10_000),
    ],
    ids=lambda value: type(value).__name__,
)
def test_whatever_a_function_raises_is_a_failed_call(
    functions, offer, caller, told, error, error_type, message, caplog
):
    # Kept out of the report: the text that is no UTF-8 would end a run on several processes.
    caplog.set_level(logging.CRITICAL, "tinybase.functions")

    @offer
    def fail():
        raise error

    outcome = functions.call(caller, "fail", {})

    assert failure(outcome) == (error_type, message)
    call = functions.get_call(outcome.call_id)
    assert (call["status"], call["error_type"], call["error_message"]) == (
        "failed",
        error_type,
        message,
    )
    (event,) = told.completions
    assert (event.status, event.error_type, event.error_message) == ("failed", error_type, message)


def test_a_failure_is_logged_with_its_traceback(functions, offer, caller, caplog):
    @offer
    def fail():
        raise Trouble("deep down")

    functions.call(caller, "fail", {})

    assert "extension project: the function fail failed: Trouble: deep down" in caplog.text
    assert "Trouble: deep down" in caplog.text


def test_input_that_breaks_the_model_is_a_failed_call(functions, offer, caller, told):
    ran = []

    @offer
    def add(payload: Numbers):
        ran.append(payload)

    outcome = functions.call(caller, "add", {"a": "x"})

    error_type, message = failure(outcome)
    assert error_type == "ValidationError"
    assert message.startswith("a: ")
    assert functions.get_call(outcome.call_id)["error_type"] == "ValidationError"
    assert (ran, told.calls) == ([], [])
    assert told.completions[0].error_type == "ValidationError"


def test_a_validator_that_breaks_is_a_failed_call(functions, offer, caller):
    class Broken(marshmallow.Schema):
        @marshmallow.pre_load
        def fail(self, data, **_):
            raise Trouble("in the model")

    offer(lambda payload: 1, name="one", input_model=Broken)

    assert failure(functions.call(caller, "one", {})) == ("Trouble", "in the model")


def test_a_result_that_breaks_the_model_is_a_failed_call(functions, offer, caller):
    @offer
    def add() -> Sum:
        return {"total": 3}

    error_type, message = failure(functions.call(caller, "add", {}))

    assert error_type == "OutputValidationError"
    assert "output model Sum" in message


def test_a_result_that_is_not_json_is_a_failed_call(functions, offer, caller):
    offer(lambda: b"bytes", name="odd")

    assert failure(functions.call(caller, "odd", {}))[0] == "OutputValidationError"


def test_a_result_that_is_too_large_is_a_failed_call(make_functions, offer, caller):
    offer(lambda payload: "x" * payload["size"], name="fill")
    functions = make_functions(max_result_bytes=100)

    error_type, message = failure(functions.call(caller, "fill", {"size": 99}))

    assert error_type == "ResultSizeError"
    assert "exceeds maximum size" in message
    assert functions.call(caller, "fill", {"size": 98}).status == "succeeded"


def test_a_veto_is_the_answer_and_a_failed_call(functions, offer, caller, told):
    ran = []
    offer(lambda: ran.append(1), name="one")
    told.veto = Rejected("Not today.", status=409, code="closed", extension="shop")

    with pytest.raises(Rejected, match="Not today"):
        functions.call(caller, "one", {})

    (call,) = functions.calls().calls
    assert ran == []
    assert (call["status"], call["error_type"], call["error_message"]) == (
        "failed",
        "Reject",
        "Not today.",
    )
    assert told.completions[0].error_type == "Reject"


class DictSchema(marshmallow.Schema):
    a = fields.Integer(required=True)


@pytest.mark.parametrize("model", [Numbers, DictSchema, Sum])
def test_models_of_every_kind_reach_the_function(functions, offer, caller, model):
    got = []
    offer(got.append, name="f", input_model=model)
    key = "sum" if model is Sum else "a"

    functions.call(caller, "f", {key: "1"})

    (payload,) = got
    assert (payload[key] if isinstance(payload, dict) else getattr(payload, key)) == 1
    assert isinstance(payload, dict if model is DictSchema else model)


def test_without_a_model_the_payload_is_a_dict_of_its_own(functions, offer, caller):
    @offer
    def clear(payload):
        payload.clear()

    payload = {"a": 1}
    functions.call(caller, "clear", payload)

    assert payload == {"a": 1}


def test_async_functions_are_awaited(functions, offer, caller):
    @offer
    async def later(ctx, payload: Numbers) -> Sum:
        await asyncio.sleep(0)
        return Sum(payload.a)

    assert functions.call(caller, "later", {"a": 1}).result == {"sum": 1}


def test_async_functions_share_one_loop_so_that_clients_can_be_pooled(functions, offer, caller):
    loops = []

    @offer
    async def note():
        loops.append(asyncio.get_running_loop())

    functions.call(caller, "note", {})
    functions.call(caller, "note", {})

    assert loops[0] is loops[1]


@pytest.mark.parametrize("error", [SystemExit(1), KeyboardInterrupt(), Trouble("x")], ids=repr)
def test_what_an_async_function_raises_leaves_the_loop_alive(functions, offer, caller, error):
    @offer
    async def fail():
        raise error

    @offer
    async def work():
        return 1

    assert failure(functions.call(caller, "fail", {}))[0] == type(error).__name__
    assert functions.call(caller, "work", {}).result == 1


def test_the_level_is_checked_before_anything_else(functions, offer, caller, told):
    offer(lambda: 1, name="signed_in", auth="auth")
    offer(lambda: 1, name="admins", auth="admin")

    with pytest.raises(Unauthenticated):
        functions.call(ANONYMOUS, "signed_in", {})
    with pytest.raises(Forbidden):
        functions.call(caller, "admins", {})
    with pytest.raises(NotFound):
        functions.call(caller, "none", {})

    assert functions.calls().total == 0
    assert told.completions == []


def test_the_list_has_what_the_caller_may_call(functions, offer, caller, admin_caller):
    for level in ("public", "auth", "admin"):
        offer(lambda: 1, name=f"for_{level}", auth=level)

    def names(actor):
        return [function.name for function in functions.list(actor)]

    assert names(ANONYMOUS) == ["for_public"]
    assert names(caller) == ["for_auth", "for_public"]
    assert names(admin_caller) == names(SYSTEM) == ["for_admin", "for_auth", "for_public"]


def test_what_a_function_does_has_the_function_as_its_origin(functions, offer, caller):
    causes = []
    offer(lambda: causes.append(current_cause()), name="note")

    with caused_by(actor=caller, origin="http", request_id="r-1"):
        functions.call(caller, "note", {})

    (cause,) = causes
    assert (cause.actor, cause.origin, cause.request_id) == (caller, "function", "r-1")


def test_calls_are_listed_newest_first_and_filtered(functions, offer, caller):
    offer(lambda: 1, name="one")
    offer(lambda: 1 / 0, name="bad")
    ids = [functions.call(caller, name, {}).call_id for name in ("one", "bad", "one")]

    def listed(**query):
        return [call["id"] for call in functions.calls(**query).calls]

    assert listed() == ids[::-1]
    assert listed(function_name="one") == [ids[2], ids[0]]
    assert listed(status="failed") == [ids[1]]
    assert listed(trigger_type="schedule") == []
    assert listed(limit=1, offset=1) == [ids[1]]
    assert functions.calls(function_name="one", limit=1).total == 2


def test_an_unknown_call_is_not_found(functions, caller):
    with pytest.raises(NotFound):
        functions.get_call(caller.user_id)


def test_a_chain_of_handlers_that_never_ends_is_refused_before_it_is_recorded(
    functions, offer, caller, monkeypatch
):
    offer(lambda: 1, name="one")

    def refuse():
        raise Conflict("too deep")

    monkeypatch.setattr("tinybase.functions.calls.event_facts", refuse)
    with pytest.raises(Conflict):
        functions.call(caller, "one", {})

    assert functions.calls().total == 0


# --- places ------------------------------------------------------------------------------


class Gate:
    """A function that waits until it is let go."""

    def __init__(self):
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()

    def __call__(self):
        self.entered.release()
        assert self.open.wait(10)


@contextlib.contextmanager
def running(functions, gate, *callers):
    """Have calls of a gate running while the block runs; each caller is actor and address."""
    threads = [
        threading.Thread(
            target=functions.call, args=(actor, "gate", {}), kwargs={"address": address}
        )
        for actor, address in callers
    ]
    for thread in threads:
        thread.start()
        assert gate.entered.acquire(timeout=10)
    try:
        yield
    finally:
        gate.open.set()
        for thread in threads:
            thread.join(10)


@pytest.fixture
def gate(offer):
    gate = Gate()
    offer(gate, name="gate")
    offer(lambda: 1, name="one")
    return gate


def assert_full(functions, actor, address=None):
    with pytest.raises(Exception, match="still running") as caught:
        functions.call(actor, "one", {}, address=address)
    assert caught.value.code == "too_many_concurrent_calls"
    assert caught.value.status == 429
    assert caught.value.headers == {"Retry-After": "1"}


def test_a_user_may_run_only_so_many_calls_at_once(make_functions, gate, caller, admin_caller):
    functions = make_functions(max_concurrent_per_user=2)

    with running(functions, gate, (caller, None), (caller, None)):
        assert_full(functions, caller)
        assert functions.call(admin_caller, "one", {}).status == "succeeded"

    assert functions.call(caller, "one", {}).status == "succeeded"
    assert functions.calls(function_name="one").total == 2


def test_anonymous_callers_of_one_address_share_their_places(make_functions, gate):
    functions = make_functions(max_concurrent_per_user=1)

    with running(functions, gate, (ANONYMOUS, "10.0.0.1")):
        assert_full(functions, ANONYMOUS, "10.0.0.1")
        assert functions.call(ANONYMOUS, "one", {}, address="10.0.0.2").status == "succeeded"


def test_the_setting_of_the_instance_overrides_the_configuration(functions, gate, caller, settings):
    settings["max_concurrent_functions_per_user"] = 1

    with running(functions, gate, (caller, None)):
        assert_full(functions, caller)


def test_the_server_itself_has_no_limit(make_functions, gate):
    functions = make_functions(max_concurrent_per_user=1)

    with running(functions, gate, (SYSTEM, None)):
        assert functions.call(SYSTEM, "one", {}).status == "succeeded"


# --- deadlines ---------------------------------------------------------------------------


def test_a_function_that_misses_its_deadline_is_a_failed_call(
    make_functions, gate, caller, told, caplog
):
    functions = make_functions(timeout_seconds=0.05)

    outcome = functions.call(caller, "gate", {})
    gate.open.set()

    assert failure(outcome) == ("TimeoutError", "It ran longer than 0.05 seconds.")
    assert functions.get_call(outcome.call_id)["status"] == "failed"
    assert told.completions[0].error_type == "TimeoutError"


def test_an_async_function_that_misses_its_deadline_is_cancelled(make_functions, offer, caller):
    functions = make_functions(timeout_seconds=0.05)
    cancelled = threading.Event()

    @offer
    async def wait():
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    assert failure(functions.call(caller, "wait", {}))[0] == "TimeoutError"
    assert cancelled.wait(10)


def test_what_a_function_wrote_before_it_missed_its_deadline_is_not_kept(
    make_functions, offer, caller, database
):
    functions = make_functions(timeout_seconds=0.05)
    go_on, done = threading.Event(), threading.Event()

    @offer
    def write(ctx):
        try:
            go_on.wait(10)
            ctx.db.add(Collection(name="late", label="Late"))
            ctx.db.flush()
        finally:
            done.set()

    functions.call(caller, "write", {})
    go_on.set()
    assert done.wait(10)
    for thread in threading.enumerate():
        if thread.name == "function-write":
            thread.join(10)

    with database.connect() as connection:
        assert connection.execute(select(tables.collections)).all() == []


def test_a_function_that_cannot_be_stopped_keeps_its_place(make_functions, gate, caller):
    functions = make_functions(timeout_seconds=0.05, max_concurrent_per_user=1)

    functions.call(caller, "gate", {})

    assert_full(functions, caller)
    gate.open.set()
    for thread in threading.enumerate():
        if thread.name == "function-gate":
            thread.join(10)
    assert functions.call(caller, "one", {}).status == "succeeded"


# --- the guide's own function ------------------------------------------------------------


def test_the_function_of_the_guide_works_verbatim(functions, host, database, admin_caller, caller):
    with database.write() as work:
        posts = work.connection.execute(insert(Collection).values(name="posts", label="Posts"))
        (collection_id,) = posts.inserted_primary_key
        records = [{"collection_id": collection_id, "data": {"n": n}} for n in range(3)]
        work.connection.execute(insert(Record), records)
    for row in claim(sync_all_records.__module__):
        host.functions.add("my-extension", row.value)

    outcome = functions.call(admin_caller, "ext_sync_all", {})

    assert outcome.status == "succeeded"
    assert outcome.result["synced_count"] == 0
    assert len(outcome.result["errors"]) == 3
    assert "name 'send_to_external' is not defined" in outcome.result["errors"][0]
    assert (
        failure(functions.call(admin_caller, "ext_sync_all", {"force": "x"}))[0]
        == "ValidationError"
    )
    with pytest.raises(Forbidden):
        functions.call(caller, "ext_sync_all", {})
    function = functions.get("ext_sync_all")
    assert (function.auth, function.tags) == ("admin", ("my-extension", "sync"))
    assert function.description == "Sync all records to external service"


def test_the_function_of_the_guide_can_be_called_as_it_is_written(functions, host, admin_caller):
    class Nothing:
        def exec(self, statement):
            return self

        def all(self):
            return []

    ctx = type("Ctx", (), {"db": Nothing()})()

    assert sync_all_records(ctx, SyncInput()) == SyncOutput(synced_count=0, errors=[])


def test_the_log_of_a_function_is_that_of_its_module(functions, offer, caller, caplog):
    caplog.set_level(logging.INFO)

    @offer
    def greet(ctx):
        ctx.log.info("hello")

    functions.call(caller, "greet", {})

    assert (__name__, logging.INFO, "hello") in caplog.record_tuples
