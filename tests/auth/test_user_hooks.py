"""What extensions are asked and told about users, functions, collections and one another."""

from __future__ import annotations

import sys
import threading
from types import ModuleType
from uuid import uuid4

import pytest
from argon2 import PasswordHasher

from tinybase.extensions import Identity
from tinybase.testing import ADMIN_EMAIL, PASSWORD, running

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

def around(name):
    @te.hookimpl(wrapper=True, specname=name)
    def wrapper(event):
        result = yield
        change = sys.modules["shared_with_hooks"].answers.get("around " + name)
        return change(result) if change else result
    wrapper.__name__ = wrapper.__qualname__ = "around_" + name
    return wrapper

around_claims = around("tinybase_token_claims")
around_authenticate = around("tinybase_authenticate")

@register(name="claimed", auth="public")
def claimed(ctx, payload: dict):
    return {"claims": ctx.claims, "payload": payload}

@register(name="ensured")
def ensured(ctx, payload: dict):
    return {"schema": dict(ctx.collections.ensure("things").schema)}
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


@pytest.fixture(scope="module")
def started(tmp_path_factory, databases):
    """One instance for all tests on a database."""
    module = ModuleType("shared_with_hooks")
    module.told, module.answers, module.hooks = [], {}, HOOKS
    folder = tmp_path_factory.mktemp("user_hooks")
    (folder / "user_hooks_handlers.py").write_text(HANDLERS)
    database = databases.new(folder)
    environ = {"TINYBASE_MAIL_URL": "file:outbox", **database}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "shared_with_hooks", module)
        with running(folder, modules=["user_hooks_handlers"], environ=environ) as site:
            # What passwords cost is not the point of any of these tests.
            site.services.users.passwords._hasher = PasswordHasher(1, 8, 1)
            yield site, module
    databases.drop(database)


@pytest.fixture
def shared(started):
    _, module = started
    module.told.clear()
    module.answers.clear()
    return module


@pytest.fixture
def site(started, shared):
    site, _ = started
    yield site
    shared.answers.clear()
    for collection in site.get("/api/collections").json:
        site.delete(f"/api/collections/{collection['name']}")
    for user in site.get("/api/admin/users").json["users"]:
        if user["email"] != ADMIN_EMAIL:
            site.delete(f"/api/admin/users/{user['id']}")


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


def test_every_failed_login_is_told_with_its_reason(site, shared):
    site.user("ann@example.com")
    ann = site.services.users.find("ann@example.com").id
    login(site, "nobody@example.com")
    login(site, "ann@example.com", "wrong")
    shared.answers["before_user_login"] = refuse()
    login(site)
    site.services.users.update(ann, is_active=False)
    login(site)

    told = [event for name, event in shared.told if name == "on_user_login_failed"]
    assert [(event.user_id, event.reason) for event in told] == [
        (None, "unknown_email"),
        (ann, "wrong_password"),
        (ann, "rejected"),
        (ann, "inactive"),
    ]


def test_a_request_in_a_test_returns_when_what_nobody_waits_for_was_told(site, shared, monkeypatch):
    answered, over = threading.Event(), []
    send = site.client.open

    def send_and_note(*arguments, **named):
        try:
            return send(*arguments, **named)
        finally:
            answered.set()

    def take_long(event, ctx):
        over.append(answered.wait(10))

    shared.answers["on_user_login_failed"] = take_long
    monkeypatch.setattr(site.client, "open", send_and_note)

    assert login(site, "nobody@example.com").status_code == 401
    assert over == [True]


def test_a_handler_of_a_test_that_sends_a_request_does_not_wait_for_itself(site, shared):
    answers = []
    shared.answers["on_user_login_failed"] = lambda *_: answers.append(site.get("/health"))

    login(site, "nobody@example.com")

    assert [answer.status_code for answer in answers] == [200]


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


def test_a_reset_is_told_as_a_change_of_the_password(site, shared):
    site.user("ann@example.com")
    ann = site.services.users.find("ann@example.com").id
    shared.told.clear()
    tokens = site.services.tokens
    site.post("/api/auth/password-reset/request", {"email": "ann@example.com"}, headers={})
    tokens.resets._mailer._worker.submit(int).result(10)  # the mail before it is sent
    (mail,) = (site.services.config.instance / "outbox").glob("*.eml")
    token = "tbp_" + mail.read_text().partition("/auth/password-reset/tbp_")[2].split()[0]

    body = {"token": token, "password": PASSWORD + "2"}
    answer = site.post("/api/auth/password-reset/confirm", body, headers={})

    assert answer.status_code == 200
    ((name, event),) = shared.told
    assert (name, event.user_id, event.method) == ("on_password_change", ann, "reset")


CLAIMS, AUTHENTICATE = "around tinybase_token_claims", "around tinybase_authenticate"


@pytest.mark.parametrize(
    "answer",
    [lambda _: None, lambda _: {"a": 1}, lambda _: ["a"], lambda found: [*found, {"a": object()}]],
)
def test_a_wrapper_that_spoils_the_claims_is_a_fault_of_its_extension(site, shared, answer):
    site.user("ann@example.com")
    shared.answers[CLAIMS] = answer

    refused = login(site)

    assert (refused.status_code, refused.json["code"]) == (500, "extension_error")
    assert refused.json["extension"] == "project"


def test_a_wrapper_may_add_claims(site, shared):
    site.user("ann@example.com")
    shared.answers["token_claims"] = {"team": "red", "level": 1}
    shared.answers[CLAIMS] = lambda found: [{"team": "blue"}, None, *found]

    ann = {"Authorization": f"Bearer {login(site).json['access_token']}"}

    assert site.get("/api/auth/me", ann).json["claims"] == {"team": "blue", "level": 1}


@pytest.mark.parametrize("answer", ["ann@example.com", Identity(), Identity(email=3)])
def test_a_wrapper_that_spoils_who_it_is_is_a_fault_of_its_extension(site, shared, answer):
    shared.answers[AUTHENTICATE] = lambda _: answer

    refused = site.get("/api/auth/me", {"Authorization": "ApiKey secret"})

    assert (refused.status_code, refused.json["code"]) == (500, "extension_error")
    assert refused.json["extension"] == "project"


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


def test_collections_that_a_function_makes_are_asked_about_and_told_of(site, shared):
    def add(event, ctx):
        event.data["schema"] = SCHEMA

    shared.answers["before_collection_create"] = add
    assert site.call("ensured")["result"] == {"schema": SCHEMA}
    assert site.call("ensured")["result"] == {"schema": SCHEMA}
    *asked, told = [name for name in names(shared) if "collection" in name]
    # On PostgreSQL once more, when the index that was added has been made.
    assert (set(asked), told) == ({"before_collection_create"}, "on_collection_create")

    assert site.delete("/api/collections/things").status_code == 204
    shared.answers["before_collection_create"] = refuse(409, "full")
    refused = site.post("/api/functions/ensured", {})
    assert (refused.json["status"], refused.json["error_message"]) == ("failed", "No.")
    assert site.get("/api/collections").json == []


REFUSING = """
from tinybase.extensions import Reject, authenticate

@authenticate
def refuse(event):
    raise Reject("No.", 403, "key_revoked")
"""


def test_whoever_tries_keys_is_stopped_by_the_rate_limit(tmp_path):
    (tmp_path / "refusing_keys.py").write_text(REFUSING)
    environ = {
        "TINYBASE_RATE_LIMIT_ENABLED": "true",
        "TINYBASE_RATE_LIMIT_ANONYMOUS_PER_MINUTE": "2",
    }
    with running(tmp_path, modules=["refusing_keys"], environ=environ) as site:
        answers = [site.get("/api/collections", {"X-Api-Key": key}) for key in "abc"]

    codes = ["key_revoked", "key_revoked", "rate_limited"]
    assert [answer.json["code"] for answer in answers] == codes


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
