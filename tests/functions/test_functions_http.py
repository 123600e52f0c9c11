"""Functions and the record of their calls over HTTP."""

from __future__ import annotations

import threading
from uuid import UUID, uuid4

import pytest

from tinybase.functions.scaffold import write_function
from tinybase.testing import Running, running

SOURCE = '''
"""Functions of a project."""

import threading

from pydantic import BaseModel
from tinybase.extensions import Reject, on_function_call, on_function_complete
from tinybase.functions import Context, register

entered, leave = threading.Semaphore(0), threading.Event()
completed = []


class Numbers(BaseModel):
    a: int
    b: int = 2


class Sum(BaseModel):
    sum: int


@register(name="add", description="Add two numbers", auth="public", tags=["math"])
def add(payload: Numbers) -> Sum:
    return Sum(sum=payload.a + payload.b)


@register(name="divide", auth="public")
def divide(payload):
    return payload["a"] / payload["b"]


@register(name="mine", auth="auth")
def mine(ctx: Context):
    """Say who calls."""
    return [ctx.user_id, ctx.is_admin, ctx.request.path, ctx.request_id]


@register(name="admins", auth="admin")
async def admins():
    return "ok"


@register(name="echo", auth="public")
def echo(payload):
    return payload


@register(name="store", auth="auth")
def store(ctx, payload):
    return ctx.records.create("notes", payload)


@register(name="stored", auth="auth")
def stored(ctx, payload):
    page = ctx.records.list("notes", filters=payload, sort="text", limit=2)
    record = page.records[0]
    ctx.records.update("notes", record.id, {"text": "changed"}, version=record.version)
    ctx.records.delete("notes", page.records[1].id)
    return [page.total, ctx.records.get("notes", record.id).data["text"]]


@register(name="count", auth="auth")
def count(ctx):
    from sqlmodel import select
    from tinybase.db.models import Record

    return len(ctx.db.exec(select(Record)).all())


@register(name="clash", auth="auth")
def clash(ctx, payload):
    from tinybase.db.models import Collection

    ctx.db.add(Collection(name="another", label="Another"))
    ctx.db.flush()
    ctx.records.create("notes", payload)


@register(name="quit", auth="public")
def quit():
    raise SystemExit(1)


@register(name="wait", auth="public")
def wait():
    entered.release()
    leave.wait(10)


@on_function_call(name="divide")
def check(event):
    if event.payload.get("b") == 13:
        raise Reject("Not by thirteen.", status=409, code="unlucky")


@on_function_call(name="divide")
def fail(event):
    raise RuntimeError("a handler that fails changes nothing")


@on_function_complete(name="divide")
def note(event):
    completed.append((event.status, event.error_type, event.actor, event.origin))
'''


@pytest.fixture(scope="module")
def tinybase(tmp_path_factory: pytest.TempPathFactory):
    folder = tmp_path_factory.mktemp("instance")
    (folder / "functions").mkdir()
    (folder / "functions" / "example.py").write_text(SOURCE)
    write_function(folder / "functions", "greet-all", 'Says "hello" {now}', "public")
    environ = {
        "TINYBASE_MAX_FUNCTION_PAYLOAD_BYTES": "1000",
        "TINYBASE_MAX_FUNCTION_RESULT_BYTES": "500",
        "TINYBASE_MAX_CONCURRENT_FUNCTIONS_PER_USER": "1",
    }
    with running(folder, environ=environ) as started:
        started.collection("notes", {"fields": [{"name": "text", "type": "string"}]})
        yield started


@pytest.fixture(scope="module")
def signed_in(tinybase: Running) -> dict[str, str]:
    return tinybase.user("ann@example.com")


@pytest.fixture(scope="module")
def module(tinybase: Running) -> dict:
    return tinybase.services.functions.get("wait").handler.__globals__


def test_a_call_answers_with_all_six_keys(tinybase):
    answer = tinybase.post("/api/functions/add", {"a": 1}, headers={})

    body = answer.get_json()
    assert answer.status_code == 200
    assert UUID(body.pop("call_id"))
    assert isinstance(body.pop("duration_ms"), int)
    assert body == {
        "status": "succeeded",
        "result": {"sum": 3},
        "error_message": None,
        "error_type": None,
    }


@pytest.mark.parametrize(
    ("name", "payload", "error_type", "message"),
    [
        ("add", {"a": "x"}, "ValidationError", "a: "),
        ("add", {}, "ValidationError", "a: Field required"),
        ("divide", {"a": 1, "b": 0}, "ZeroDivisionError", "division by zero"),
        ("quit", {}, "SystemExit", "1"),
        ("echo", {"x": "y" * 600}, "ResultSizeError", "exceeds maximum size"),
    ],
)
def test_a_failing_function_is_an_answer_too(tinybase, name, payload, error_type, message):
    answer = tinybase.post(f"/api/functions/{name}", payload, headers={})

    body = answer.get_json()
    assert answer.status_code == 200
    assert (body["status"], body["result"], body["error_type"]) == ("failed", None, error_type)
    assert message in body["error_message"]
    recorded = tinybase.get(f"/api/admin/functions/calls/{body['call_id']}").get_json()
    assert (recorded["status"], recorded["error_type"]) == ("failed", error_type)


def test_no_body_is_an_empty_object(tinybase):
    answer = tinybase.client.post("/api/functions/echo")

    assert answer.get_json()["result"] == {}


def test_a_payload_over_the_limit_is_refused(tinybase):
    small = tinybase.post("/api/functions/echo", {"x": "y" * 400}, headers={})
    large = tinybase.post("/api/functions/echo", {"x": "y" * 1000}, headers={})

    assert small.get_json()["status"] == "succeeded"
    assert (large.status_code, large.get_json()["code"]) == (413, "payload_too_large")
    assert "exceeds maximum size" in large.get_json()["detail"]


@pytest.mark.parametrize(
    ("name", "status", "code"),
    [
        ("none", 404, "not_found"),
        ("a%20b", 404, "not_found"),
        ("mine", 401, "not_authenticated"),
        ("admins", 401, "not_authenticated"),
    ],
)
def test_an_anonymous_caller_is_refused(tinybase, name, status, code):
    for answer in (
        tinybase.post(f"/api/functions/{name}", {}, headers={}),
        tinybase.get(f"/api/functions/{name}/schema", headers={}),
    ):
        assert (answer.status_code, answer.get_json()["code"]) == (status, code)


def test_a_user_may_not_call_what_is_for_admins(tinybase, signed_in):
    answer = tinybase.post("/api/functions/admins", {}, headers=signed_in)

    assert (answer.status_code, answer.get_json()["code"]) == (403, "admin_required")
    assert tinybase.call("admins")["result"] == "ok"


def test_a_function_knows_its_caller_and_request(tinybase, signed_in):
    me = tinybase.get("/api/auth/me", headers=signed_in).get_json()
    headers = {**signed_in, "X-Request-Id": "r-1"}

    body = tinybase.call("mine", headers=headers)

    assert body["result"] == [me["id"], False, "/api/functions/mine", "r-1"]


def test_a_veto_is_the_answer(tinybase, module):
    answer = tinybase.post("/api/functions/divide", {"a": 1, "b": 13}, headers={})

    body = answer.get_json()
    assert (answer.status_code, body["code"]) == (409, "unlucky")
    assert body["detail"] == "Not by thirteen."
    (call,) = tinybase.get("/api/admin/functions/calls?function_name=divide&limit=1").get_json()[
        "calls"
    ]
    assert (call["status"], call["error_type"]) == ("failed", "Reject")
    assert module["completed"][-1] == ("failed", "Reject", "anonymous", "http")


def test_a_handler_that_fails_does_not_stop_the_call(tinybase, module):
    assert tinybase.call("divide", {"a": 1, "b": 2})["result"] == 0.5
    assert module["completed"][-1] == ("succeeded", None, "admin", "http")


def test_a_function_works_with_records_as_the_server(tinybase, signed_in):
    me = tinybase.get("/api/auth/me", headers=signed_in).get_json()

    first = tinybase.call("store", {"text": "a"}, headers=signed_in)["result"]
    tinybase.call("store", {"text": "b"})
    listed = tinybase.call("stored", {"text": {"in": ["a", "b"]}}, headers=signed_in)

    assert (first["owner_id"], first["data"], first["version"]) == (me["id"], {"text": "a"}, 1)
    assert listed["result"] == [2, "changed"]
    assert tinybase.call("count", headers=signed_in)["result"] == 1


def test_bad_record_data_is_the_failure_of_the_function(tinybase, signed_in):
    body = tinybase.call("store", {"txet": "a"}, headers=signed_in)

    assert (body["status"], body["error_type"]) == ("failed", "RecordInvalid")


def test_writing_a_record_past_an_open_transaction_fails_at_once(tinybase, signed_in):
    body = tinybase.call("clash", {"text": "a"}, headers=signed_in)

    assert body["error_type"] == "Conflict"
    assert "Call ctx.db.commit() first" in body["error_message"]


def test_too_many_calls_at_once_are_refused(tinybase, module, signed_in):
    waiting = threading.Thread(target=tinybase.call, args=("wait", {}, signed_in))
    waiting.start()
    assert module["entered"].acquire(timeout=10)

    refused = tinybase.post("/api/functions/echo", {}, headers=signed_in)
    others = tinybase.post("/api/functions/echo", {}, headers={})
    module["leave"].set()
    waiting.join(10)

    assert (refused.status_code, refused.get_json()["code"]) == (429, "too_many_concurrent_calls")
    assert refused.headers["Retry-After"] == "1"
    assert others.status_code == 200
    assert tinybase.post("/api/functions/echo", {}, headers=signed_in).status_code == 200


def test_the_list_is_what_the_caller_may_call(tinybase, signed_in):
    def names(headers):
        return [f["name"] for f in tinybase.get("/api/functions", headers).get_json()]

    public = ["add", "divide", "echo", "greet-all", "quit", "wait"]
    assert names({}) == public
    assert names(signed_in) == sorted([*public, "clash", "count", "mine", "store", "stored"])
    assert "admins" in names(None)
    assert tinybase.get("/api/functions", {}).get_json()[0] == {
        "name": "add",
        "description": "Add two numbers",
        "auth": "public",
        "tags": ["math"],
        "extension": None,
    }


def test_admins_see_where_functions_come_from(tinybase, signed_in):
    listed = tinybase.get("/api/functions/admin/list").get_json()

    add, admins = listed[0], listed[1]
    assert (add["has_input_model"], add["has_output_model"], add["is_async"]) == (True, True, False)
    assert (admins["has_input_model"], admins["is_async"]) == (False, True)
    assert add["module"].endswith(".example")
    assert add["file_path"].endswith("/functions/example.py")
    assert add["last_loaded_at"].endswith("Z")
    assert tinybase.get("/api/functions/admin/list", signed_in).status_code == 403
    assert tinybase.get("/api/functions/admin/list", {}).status_code == 401


def test_the_models_are_told_as_json_schema(tinybase):
    add = tinybase.get("/api/functions/add/schema", {}).get_json()
    echo = tinybase.get("/api/functions/echo/schema", {}).get_json()

    assert (add["name"], add["has_input_model"], add["has_output_model"]) == ("add", True, True)
    assert add["input_schema"]["required"] == ["a"]
    assert add["output_schema"]["properties"]["sum"]["type"] == "integer"
    assert echo == {
        "name": "echo",
        "has_input_model": False,
        "has_output_model": False,
        "input_schema": None,
        "output_schema": None,
    }


@pytest.mark.parametrize("path", ["/api/admin/functions/calls", "/api/admin/function-calls"])
def test_calls_are_listed_for_admins(tinybase, signed_in, path):
    made = tinybase.call("echo", {"only": 1})

    body = tinybase.get(f"{path}?function_name=echo&status=succeeded&limit=1").get_json()
    one = tinybase.get(f"{path}/{made['call_id']}").get_json()

    assert (body["limit"], body["offset"]) == (1, 0)
    assert body["total"] >= 1
    assert body["calls"] == [one]
    assert set(one) == {
        "id",
        "function_name",
        "status",
        "trigger_type",
        "trigger_id",
        "requested_by_user_id",
        "started_at",
        "finished_at",
        "duration_ms",
        "error_message",
        "error_type",
        "created_at",
    }
    assert (one["id"], one["duration_ms"]) == (made["call_id"], made["duration_ms"])
    assert tinybase.get(path, signed_in).status_code == 403
    assert tinybase.get(path, {}).status_code == 401


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("status=done", 422),
        ("trigger_type=hook", 422),
        ("limit=0", 422),
        ("name=echo", 400),
        ("trigger_type=schedule", 200),
    ],
)
def test_the_list_of_calls_checks_its_query(tinybase, query, status):
    assert tinybase.get(f"/api/admin/functions/calls?{query}").status_code == status


def test_an_unknown_call_is_not_found(tinybase):
    assert tinybase.get(f"/api/admin/functions/calls/{uuid4()}").status_code == 404
    assert tinybase.get("/api/admin/functions/calls/nonsense").status_code == 422


def test_a_broken_file_leaves_the_others_working(tmp_path, make_app):
    (tmp_path / "functions").mkdir(exist_ok=True)
    (tmp_path / "functions" / "broken.py").write_text("import nothing_of_that_name")
    write_function(tmp_path / "functions", "greet", "Says hello", "public")
    app = make_app(tmp_path)
    assert "broken.py" in app.extensions["tinybase"].host.project_failures()
    answer = app.test_client().post("/api/functions/greet", json={"name": "Ann"})
    assert answer.json["result"] == {"message": "Hello, Ann!"}


def test_a_function_that_was_just_scaffolded_works(tinybase):
    assert tinybase.call("greet-all", {"name": "Ann"})["result"] == {"message": "Hello, Ann!"}
    assert tinybase.get("/api/functions/greet-all/schema").get_json()["has_input_model"]
