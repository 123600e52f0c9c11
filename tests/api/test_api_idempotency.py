"""The header Idempotency-Key, as clients see it."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event
from werkzeug.test import TestResponse

from tinybase.actors import SYSTEM
from tinybase.db import tables, utcnow
from tinybase.processes import this_process
from tinybase.testing import Running, running

RECORDS = "/api/collections/posts/records"
NOBODYS = "01937f3e-8a60-7cc0-9d6d-4d6b2f0c7e11"
KEYS = tables.idempotency_keys

FUNCTIONS = """
import threading

from tinybase.extensions import Reject, on_function_call
from tinybase.functions import register

running, going, calls = threading.Semaphore(0), threading.Event(), []


@register(name="slow", auth="public")
def slow(payload):
    calls.append(payload)
    running.release()
    assert going.wait(30)
    if "fail" in payload:
        raise ValueError("no luck")
    return payload


@on_function_call(name="slow")
def check(event):
    if "veto" in event.payload:
        raise Reject("Not this.", status=409, code="unlucky")
"""


class Site:
    """An application with an admin, a user and a collection that anybody may write into."""

    def __init__(self, started: Running, user: dict[str, str]) -> None:
        self.services, self.app = started.services, started.app
        self.admin, self.user = started.headers, user
        self.functions = self.services.functions.get("slow").handler.__globals__

    def post(
        self,
        path: str,
        json: Any,
        key: str | None = None,
        *,
        who: dict[str, str] | None = None,
        method: str = "POST",
    ) -> TestResponse:
        headers = {**(who or {}), **({} if key is None else {"Idempotency-Key": key})}
        return self.app.test_client().open(path, method=method, json=json, headers=headers)

    def call(self, payload: Any, key: str) -> TestResponse:
        return self.post("/api/functions/slow", payload, key)

    def count(self) -> int:
        total = self.services.records.list(SYSTEM, "posts").total
        assert total is not None
        return total

    def execute(self, statement: Any) -> Any:
        with self.services.database.write() as work:
            return work.connection.execute(statement)


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("instance")
    (folder / "functions").mkdir()
    (folder / "functions" / "example.py").write_text(FUNCTIONS)
    settings = {"TINYBASE_SERVER_TRUSTED_PROXIES": "127.0.0.1"}
    with running(folder, environ=settings) as found:
        schema = {"fields": [{"name": "title", "unique": True, "required": True}]}
        found.collection("posts", schema, create="public", list="public")
        yield Site(found, found.user("user@example.com"))


@pytest.fixture
def site(started: Site) -> Site:
    """Return the site without a record, a key or a call."""
    started.execute(tables.records.delete())
    started.execute(KEYS.delete())
    started.functions["calls"].clear()
    started.functions["going"].clear()
    return started


def code(answer: TestResponse) -> tuple[int, str]:
    return answer.status_code, answer.json["code"]


def same(first: TestResponse, second: TestResponse) -> bool:
    kept = ("ETag", "Location", "Content-Type")
    return (
        second.headers.get("Idempotency-Replayed") == "true"
        and first.status_code == second.status_code
        and first.data == second.data
        and [first.headers.get(name) for name in kept]
        == [second.headers.get(name) for name in kept]
    )


def test_a_repeated_request_gets_the_first_answer_and_does_nothing(site):
    first = site.post(RECORDS, {"title": "a"}, "k1")
    assert (first.status_code, first.headers.get("Idempotency-Replayed")) == (201, None)
    assert same(first, site.post(RECORDS, {"title": "a"}, "k1"))
    assert same(first, site.post(RECORDS + "/", {"title": "a"}, "k1"))
    assert site.count() == 1


def test_a_refusal_is_repeated_too(site):
    site.post(RECORDS, {"title": "a"})
    first = site.post(RECORDS, {"title": "a"}, "k1")
    assert code(first) == (409, "unique_violation")
    site.execute(tables.records.delete())
    assert same(first, site.post(RECORDS, {"title": "a"}, "k1"))
    assert site.count() == 0


def test_a_key_with_another_body_or_query_is_refused(site):
    site.post(RECORDS, {"title": "a"}, "k1")
    for path, body in (
        (RECORDS, {"title": "b"}),
        (f"{RECORDS}?owner_id={NOBODYS}", {"title": "a"}),
    ):
        again = site.post(path, body, "k1")
        assert code(again) == (422, "idempotency_key_reused")
        assert again.json["detail"][0]["loc"] == ["header", "Idempotency-Key"]
        assert again.json["detail"][0]["type"] == "idempotency_key_reused"
    assert site.count() == 1


def test_the_order_of_the_keys_in_a_body_is_no_difference(site):
    site.post("/api/collections", {"name": "a", "schema": {}}, "k1", who=site.admin)
    again = site.post("/api/collections", {"schema": {}, "name": "a"}, "k1", who=site.admin)
    assert again.headers["Idempotency-Replayed"] == "true"


def test_a_key_belongs_to_its_caller_and_address(site):
    callers = [site.admin, site.user, {}, {"X-Forwarded-For": "192.0.2.1"}]
    made = [
        site.post(RECORDS, {"title": str(index)}, "k1", who=who)
        for index, who in enumerate(callers)
    ]
    assert [answer.status_code for answer in made] == [201] * 4
    site.services.collections.create("others", options={"access": {"create": "public"}})
    assert site.post("/api/collections/others/records", {}, "k1").status_code == 201


def test_a_key_is_good_for_a_day(site):
    site.post(RECORDS, {"title": "a"}, "k1")
    site.execute(KEYS.update().values(expires_at=utcnow() - timedelta(seconds=1)))
    assert code(site.post(RECORDS, {"title": "a"}, "k1")) == (409, "unique_violation")


def test_old_keys_are_forgotten(site, monkeypatch):
    site.post(RECORDS, {"title": "a"}, "k1")
    site.execute(KEYS.update().values(expires_at=utcnow()))
    monkeypatch.setattr("random.randrange", lambda _: 0)
    site.post(RECORDS, {"title": "b"}, "k2")
    assert len(site.execute(KEYS.select()).all()) == 1


@pytest.mark.parametrize("key", ["", "x" * 256, "with space", "\x7f", "é"])
def test_a_key_that_is_none_is_refused(site, key):
    assert code(site.post(RECORDS, {"title": "a"}, key)) == (400, "invalid_header")
    assert site.count() == 0


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/api/auth/login", {"email": "a@example.com", "password": "wrong password"}),
        ("POST", "/api/auth/register", {"email": "a@example.com", "password": "pass words"}),
        ("POST", "/api/admin/application-tokens", {"name": "a"}),
        ("PATCH", f"{RECORDS}/{NOBODYS}", {"title": "a"}),
    ],
)
def test_what_does_not_take_a_key_says_so(site, method, path, body):
    answer = site.post(path, body, "k1", who=site.admin, method=method)
    assert code(answer) == (400, "idempotency_not_supported")


def test_reading_does_not_look_at_the_key(site):
    answer = site.app.test_client().get(RECORDS, headers={"Idempotency-Key": "a b"})
    assert answer.status_code == 200


def test_users_collections_and_their_hooks_happen_once(site):
    user = {"email": "new@example.com", "password": "correct horse battery"}
    first = site.post("/api/admin/users", user, "k1", who=site.admin)
    assert first.status_code == 201
    assert same(first, site.post("/api/admin/users", user, "k1", who=site.admin))
    row = site.execute(KEYS.select()).one()
    assert user["password"].encode() not in row.body


def test_a_failure_that_may_pass_leaves_nothing_and_is_tried_again(site, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(site.services.kept_answers, "keep", _refuse)
        assert site.post(RECORDS, {"title": "a"}, "k1").status_code == 500

    assert site.count() == 0
    assert site.post(RECORDS, {"title": "a"}, "k1").status_code == 201


def test_the_answer_is_written_with_the_effect(site):
    commits: list[Any] = []
    note = commits.append
    engine = site.services.database.engine
    event.listen(engine, "commit", note)
    answer = site.post(RECORDS, {"title": "a"}, "k1")
    event.remove(engine, "commit", note)
    assert (answer.status_code, len(commits)) == (201, 1)


def test_of_many_that_race_with_one_key_one_is_carried_out(site):
    barrier, outcomes = threading.Barrier(12), []

    def send() -> None:
        barrier.wait()
        answer = site.post(RECORDS, {"title": "a"}, "k1")
        outcomes.append((answer.status_code, answer.headers.get("Idempotency-Replayed")))

    threads = [threading.Thread(target=send) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert Counter(outcomes) == {(201, None): 1, (201, "true"): 11}
    assert site.count() == 1


# --- calls of functions ------------------------------------------------------------------


def test_a_call_that_runs_is_in_progress_and_then_answered(site):
    answers: list[TestResponse] = []
    thread = threading.Thread(target=lambda: answers.append(site.call({"n": 1}, "k1")))
    thread.start()
    assert site.functions["running"].acquire(timeout=30)

    meanwhile = site.call({"n": 1}, "k1")
    assert code(meanwhile) == (409, "idempotency_in_progress")
    assert meanwhile.headers["Retry-After"] == "1"
    assert code(site.call({"n": 2}, "k1")) == (422, "idempotency_key_reused")

    site.functions["going"].set()
    thread.join()
    assert same(answers[0], site.call({"n": 1}, "k1"))
    assert site.functions["calls"] == [{"n": 1}]


@pytest.mark.parametrize(("payload", "calls"), [({"fail": 1}, 1), ({"veto": 1}, 0)])
def test_a_call_that_fails_or_is_vetoed_is_not_tried_again(site, payload, calls):
    site.functions["going"].set()
    first = site.call(payload, "k1")
    assert same(first, site.call(payload, "k1"))
    assert len(site.functions["calls"]) == calls


def test_a_call_whose_process_died_is_never_tried_again(site):
    site.functions["going"].set()
    site.call({}, "k1")
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    machine = this_process().rpartition(":")[0]
    for holder, expected in (
        (f"{machine}:{dead.pid}", "conflict"),
        (f"{machine}:{os.getppid()}", "idempotency_in_progress"),
        ("elsewhere:1", "idempotency_in_progress"),
    ):
        site.execute(KEYS.update().values(status=None, body=None, holder=holder))
        assert code(site.call({}, "k1")) == (409, expected)
    site.execute(KEYS.update().values(created_at=utcnow() - timedelta(hours=2)))
    assert code(site.call({}, "k1")) == (409, "conflict")
    assert len(site.functions["calls"]) == 1


def test_a_call_that_broke_after_it_began_is_never_tried_again(site, monkeypatch):
    site.functions["going"].set()
    journal = site.services.functions._journal
    with monkeypatch.context() as patch:
        patch.setattr(journal, "finish", _refuse)
        assert site.call({}, "k1").status_code == 500
    assert code(site.call({}, "k1")) == (409, "conflict")
    assert len(site.functions["calls"]) == 1


def _refuse(*_: Any, **__: Any) -> None:
    raise RuntimeError("planted")
