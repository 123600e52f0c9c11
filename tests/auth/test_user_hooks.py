"""What extensions are asked and told about users, functions, collections and one another."""

from __future__ import annotations

import sys
from types import ModuleType
from uuid import uuid4

import pytest

from tinybase.testing import PASSWORD, running

HANDLERS = """
import sys
import tinybase.extensions as te
from tinybase.functions import register

def handle(name):
    @getattr(te, name)
    def handler(event, ctx):
        shared = sys.modules["shared_with_hooks"]
        shared.told.append((name, event))
        answer = shared.answers.get(name)
        return answer(event, ctx) if callable(answer) else answer

for name in sys.modules["shared_with_hooks"].hooks:
    handle(name)

@register(name="claimed", auth="public")
def claimed(ctx, payload: dict):
    return {"claims": ctx.claims, "payload": payload}
"""
HOOKS = [
    "before_user_register",
    "on_user_register",
    "before_user_login",
    "token_claims",
    "on_user_login",
    "on_user_login_failed",
    "on_user_logout",
    "on_user_update",
    "on_user_delete",
    "on_password_change",
    "authenticate",
    "before_function_call",
    "on_function_call",
    "on_function_complete",
    "before_collection_create",
    "before_collection_update",
    "before_collection_delete",
    "on_collection_create",
    "on_collection_update",
    "on_collection_delete",
]


@pytest.fixture
def shared(monkeypatch):
    module = ModuleType("shared_with_hooks")
    module.told, module.answers, module.hooks = [], {}, HOOKS
    monkeypatch.setitem(sys.modules, "shared_with_hooks", module)
    return module


@pytest.fixture
def site(tmp_path, shared, databases):
    (tmp_path / "user_hooks_handlers.py").write_text(HANDLERS)
    database = databases.new(tmp_path)
    with running(tmp_path, modules=["user_hooks_handlers"], environ=database) as started:
        shared.told.clear()
        yield started
    databases.drop(database)


def names(shared):
    return [name for name, _ in shared.told]


def refuse(status=403, code="no"):
    def handler(event, ctx):
        from tinybase.extensions import Reject

        raise Reject("No.", status, code)

    return handler


def fail(event, ctx):
    raise ValueError("boom")


def credentials(email="ann@example.com", password=PASSWORD):
    return {"email": email, "password": password}


def login(site, *arguments):
    return site.post("/api/auth/login", credentials(*arguments), headers={})


DOORS = {
    "registration": lambda site: site.post("/api/auth/register", credentials(), headers={}),
    "admin": lambda site: site.post("/api/admin/users", credentials()),
}


@pytest.mark.parametrize("door", DOORS)
def test_a_handler_changes_who_is_registered(site, shared, door):
    def change(event, ctx):
        event.data["email"] = "Bob@EXAMPLE.com"

    shared.answers["before_user_register"] = change

    answer = DOORS[door](site)

    assert (answer.status_code, answer.json["email"]) == (201, "Bob@example.com")
    assert names(shared) == ["before_user_register", "on_user_register"]
    assert login(site, "bob@example.com").status_code == 200


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (refuse(), 403, "no"),
        (fail, 500, "extension_error"),
        ({"email": "no address"}, 422, "validation_error"),
        ({"email": "ann@example.com", "role": "x"}, 422, "validation_error"),
        ({}, 422, "validation_error"),
    ],
)
def test_who_is_refused_is_not_stored_nor_what_was_written_with_them(
    site, shared, door, answer, status, code
):
    site.collection("notes")

    def write(event, ctx):
        ctx.records.create("notes", {})
        return answer(event, ctx) if callable(answer) else answer

    shared.answers["before_user_register"] = write

    refused = DOORS[door](site)

    assert (refused.status_code, refused.json["code"]) == (status, code)
    assert site.get("/api/admin/users").json["total"] == 1
    assert site.get("/api/collections/notes/records").json["total"] == 0
    assert "on_user_register" not in names(shared)


def test_what_is_written_with_a_user_is_committed_with_it(site, shared):
    site.collection("notes")
    shared.answers["before_user_register"] = lambda _, ctx: ctx.records.create("notes", {}) and None

    assert DOORS["registration"](site).status_code == 201

    assert site.get("/api/collections/notes/records").json["total"] == 1


@pytest.mark.parametrize("hook", ["before_user_login", "token_claims"])
@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [(refuse(409, "busy"), 409, "busy"), (fail, 500, "extension_error")],
)
def test_a_login_is_refused_after_the_password_was_right(site, shared, hook, answer, status, code):
    site.user("ann@example.com")
    shared.told.clear()
    shared.answers[hook] = answer

    assert login(site, "ann@example.com", "wrong").status_code == 401
    assert hook not in names(shared)
    refused = login(site)

    assert (refused.status_code, refused.json["code"]) == (status, code)
    assert "on_user_login" not in names(shared)


def wait_for(site, shared, name, count):
    site.services.host._dispatcher.drain(30, site.services.host.around.all_shares())
    found = [event for told, event in shared.told if told == name]
    assert len(found) == count
    return found


def test_every_failed_login_is_told_with_its_reason(site, shared):
    site.user("ann@example.com")
    ann = site.services.users.find("ann@example.com").id
    login(site, "nobody@example.com")
    login(site, "ann@example.com", "wrong")
    shared.answers["before_user_login"] = refuse()
    login(site)
    site.services.users.update(ann, is_active=False)
    login(site)

    told = wait_for(site, shared, "on_user_login_failed", 4)

    assert {(event.user_id, event.reason) for event in told} == {
        (None, "unknown_email"),
        (ann, "wrong_password"),
        (ann, "rejected"),
        (ann, "inactive"),
    }


def test_claims_stay_with_a_session(site, shared):
    shared.answers["token_claims"] = {"team": "red", "roles": ["a"]}
    site.user("ann@example.com")
    session = login(site).json
    shared.answers.clear()
    refreshed = site.post(
        "/api/auth/refresh", {"refresh_token": session["refresh_token"]}, headers={}
    ).json
    ann = {"Authorization": f"Bearer {refreshed['access_token']}"}

    expected = {"team": "red", "roles": ["a"]}
    assert site.get("/api/auth/me", ann).json["claims"] == expected
    assert site.call("claimed", {}, ann)["result"]["claims"] == expected
    assert site.get("/api/auth/me").json["claims"] == {}


@pytest.mark.parametrize("bad", [["a"], {1: 2}, {"a": object()}, {"a": "x" * 5000}, {"a": 1e999}])
def test_claims_that_are_no_small_json_are_a_fault_of_their_extension(site, shared, bad):
    site.user("ann@example.com")
    shared.answers["token_claims"] = bad

    assert (login(site).status_code, login(site).json["code"]) == (500, "extension_error")


def test_what_becomes_of_a_user_is_told_once(site, shared):
    site.user("ann@example.com")
    ann = site.services.users.find("ann@example.com").id
    path = f"/api/admin/users/{ann}"
    shared.told.clear()

    site.patch(path, {"email": "ann@example.com"})
    site.patch(path, {"email": "eve@example.com", "is_admin": True, "password": PASSWORD + "2"})
    headers = {
        "Authorization": "Bearer "
        + login(site, "eve@example.com", PASSWORD + "2").json["access_token"]
    }
    own = {"password": PASSWORD + "3", "current_password": PASSWORD + "2"}
    assert site.patch("/api/auth/me", own, headers).status_code == 200
    headers = {
        "Authorization": "Bearer "
        + login(site, "eve@example.com", PASSWORD + "3").json["access_token"]
    }
    assert site.post("/api/auth/logout", {}, headers).status_code == 200
    site.delete(path)

    told = [
        (name, getattr(event, "changes", getattr(event, "method", None)))
        for name, event in shared.told
        if name.startswith("on_") and name != "on_user_login"
    ]
    assert told == [
        ("on_user_update", ("email", "is_admin")),
        ("on_password_change", "admin"),
        ("on_password_change", "change"),
        ("on_user_logout", None),
        ("on_user_delete", None),
    ]
    assert {event.user_id for _, event in shared.told} == {ann}


@pytest.mark.parametrize(
    ("identity", "status", "code"),
    [
        ({"email": "ANN@example.com", "claims": {"k": 1}}, 200, None),
        ({"email": "nobody@example.com"}, 401, "invalid_credentials"),
        ({"user_id": uuid4()}, 401, "invalid_credentials"),
        ({"email": "idle@example.com"}, 401, "invalid_token"),
        ({}, 500, "extension_error"),
        (None, 401, "not_authenticated"),
    ],
)
def test_an_extension_says_who_sends_a_request_without_a_token(
    site, shared, identity, status, code
):
    from tinybase.extensions import Identity

    site.user("ann@example.com")
    site.user("idle@example.com")
    site.services.users.update(site.services.users.find("idle@example.com").id, is_active=False)
    shared.answers["authenticate"] = lambda *_: None if identity is None else Identity(**identity)

    answer = site.get("/api/auth/me", {"Authorization": "ApiKey secret"})

    assert (answer.status_code, answer.json.get("code")) == (status, code)
    ((_, event),) = [told for told in shared.told if told[0] == "authenticate"]
    assert (event.headers["authorization"], event.path) == ("ApiKey secret", "/api/auth/me")
    if status == 200:
        assert (answer.json["email"], answer.json["claims"]) == ("ann@example.com", {"k": 1})


@pytest.mark.parametrize(
    ("token", "asked", "code"),
    [("tba_bad", False, "invalid_token"), ("eyJ.foreign", True, "invalid_token")],
)
def test_a_bearer_token_that_nobody_knows_is_never_anonymous(site, shared, token, asked, code):
    answer = site.get("/api/auth/me", {"Authorization": f"Bearer {token}"})

    assert (answer.status_code, answer.json["code"]) == (401, code)
    assert ("authenticate" in names(shared)) == asked


def test_a_refused_key_gets_the_answer_of_the_extension(site, shared):
    shared.answers["authenticate"] = refuse(403, "key_revoked")

    answer = site.get("/api/collections", {"X-Api-Key": "old"})

    assert (answer.status_code, answer.json["code"]) == (403, "key_revoked")


def test_a_payload_is_changed_before_the_call_and_a_refusal_is_recorded(site, shared):
    shared.answers["before_function_call"] = {"n": 2}
    assert site.call("claimed", {"n": 1})["result"]["payload"] == {"n": 2}
    assert [event.payload for name, event in shared.told if name == "on_function_call"] == [
        {"n": 2}
    ]
    shared.answers["before_function_call"] = refuse(409, "closed")

    answer = site.post("/api/functions/claimed", {})

    assert (answer.status_code, answer.json["code"]) == (409, "closed")
    name, event = shared.told[-1]
    assert (name, event.status, event.error_type) == ("on_function_complete", "failed", "Reject")


SCHEMA = {"fields": [{"name": "n", "type": "integer", "indexed": True}]}


def test_collections_are_changed_on_their_way_and_told_of(site, shared):
    def add(event, ctx):
        event.data["schema"] = SCHEMA

    shared.answers["before_collection_create"] = add
    made = site.post("/api/collections", {"name": "things", "schema": {"fields": []}})
    assert (made.status_code, made.json["schema"]) == (201, SCHEMA)
    shared.answers["before_collection_update"] = lambda *_: {"options": {"x_a": 1}}
    changed = site.patch("/api/collections/things", {"options": {"x_b": 1}})
    assert (changed.status_code, changed.json["options"]) == (200, {"x_a": 1})
    assert site.delete("/api/collections/things").status_code == 204

    told = [event for name, event in shared.told if name.startswith("on_collection")]
    assert [type(event).__name__ for event in told] == [
        "CollectionCreateEvent",
        "CollectionUpdateEvent",
        "CollectionDeleteEvent",
    ]
    assert (told[0].schema, told[1].old_options, told[1].options) == (SCHEMA, {}, {"x_a": 1})


@pytest.mark.parametrize(
    ("answer", "status"), [(refuse(), 403), (fail, 500), ({"schema": {"fields": 1}}, 422)]
)
def test_a_collection_that_is_refused_stays_as_it_was(site, shared, answer, status):
    site.collection("kept")
    for verb in ("create", "update", "delete"):
        shared.answers[f"before_collection_{verb}"] = answer
    shared.told.clear()

    assert site.post("/api/collections", {"name": "new", "schema": {}}).status_code == status
    assert site.patch("/api/collections/kept", {"options": {"x_a": 1}}).status_code == status
    if status != 422:
        assert site.delete("/api/collections/kept").status_code == status
    listed = site.get("/api/collections").json
    assert [each["name"] for each in listed if each["options"].get("x_a") is None] == ["kept"]
    assert not [name for name in names(shared) if name.startswith("on_")]
