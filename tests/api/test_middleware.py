"""What extensions do around requests, and what they are told of errors."""

from __future__ import annotations

import logging
import sys
import textwrap
from collections.abc import Iterator
from types import ModuleType

import pytest

from tinybase.api import middleware
from tinybase.extensions import Answer, Reject
from tinybase.host import reporting
from tinybase.testing import Running, running

AROUND = """
    from flask import Blueprint
    from tinybase.extensions import (
        Answer, Reject, after_request, before_request, on_error, on_record_create,
        register_blueprint,
    )
    from tinybase.functions import register

    requests, responses, errors = [], [], []
    answers = {}
    routes = Blueprint("around", __name__)
    register_blueprint(routes, auth="public")

    @before_request
    def ask(event):
        requests.append(event)
        answer = answers.get(event.headers.get("x-ask"))
        if isinstance(answer, Exception):
            raise answer
        return answer

    @after_request
    def tell(event):
        responses.append(event)
        event.headers["X-Seen-By"] = "around"
        wanted = answers.get("headers", {})
        event.headers.update(wanted)
        if "X-Fail" in wanted:
            raise ValueError("after")

    @on_error
    def report(event):
        errors.append(event)
        if "fail" in answers:
            raise ValueError("in on_error itself")

    @on_record_create(collection="bad")
    def fail(event):
        raise ZeroDivisionError("handler")

    @register(name="broken", auth="public")
    def broken():
        raise KeyError("function")

    @routes.get("/broken")
    def view():
        raise LookupError("view")
"""


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("around")
    (folder / "functions").mkdir()
    (folder / "functions" / "around_all.py").write_text(textwrap.dedent(AROUND))
    with running(folder, environ={"TINYBASE_CORS_ALLOW_ORIGINS": "https://a.example"}) as tinybase:
        assert tinybase.services.host.project_failures() == {}
        tinybase.collection("bad")
        yield tinybase


@pytest.fixture
def around(served: Running, caplog: pytest.LogCaptureFixture) -> ModuleType:
    """Return the module above, in which nothing has happened yet."""
    caplog.set_level(logging.CRITICAL)
    (loaded,) = served.services.host.snapshot.loaded
    module = sys.modules[loaded.partition(":")[2]]
    for seen in (module.requests, module.responses, module.errors, module.answers):
        seen.clear()
    return module


EVERYWHERE = [
    ("GET", "/health", 200),
    ("HEAD", "/health", 200),
    ("OPTIONS", "/health", 204),
    ("GET", "/api/collections/bad/records", 200),
    ("GET", "/openapi.json", 200),
    ("POST", "/api/functions/broken", 200),
    ("GET", "/api/ext/around-all/broken", 500),
    ("GET", "/nothing", 404),
    ("PUT", "/health", 405),
    ("GET", f"/{'x' * 9000}", 414),
]


@pytest.mark.parametrize(("method", "path", "status"), EVERYWHERE)
def test_every_request_is_seen_once_before_and_once_after(served, around, method, path, status):
    answer = served.client.open(path, method=method, headers=served.headers)

    (request,), (response,) = around.requests, around.responses
    assert answer.status_code == status
    assert (request.method, request.path) == (response.method, response.path) == (method, path)
    assert response.status == status
    assert request.request_id == response.request_id == answer.headers["X-Request-Id"]
    assert answer.headers["X-Seen-By"] == "around"
    assert request.headers["authorization"] == served.headers["Authorization"]


def test_the_event_says_what_is_asked_and_by_whom(served, around):
    headers = {**served.headers, "X-Colour": "blue"}
    served.client.get("/api/collections/bad/records?limit=3", headers=headers)
    served.client.get("/api/collections/d%C3%A4d")

    (request, odd), (response, _) = around.requests, around.responses
    assert (request.query, request.client) == ("limit=3", "127.0.0.1")
    assert request.headers["x-colour"] == "blue"
    assert (request.actor, request.actor_id, request.origin) == ("anonymous", None, "http")
    assert (response.actor, str(response.actor_id)) == ("admin", me(served))
    assert odd.path == "/api/collections/däd"


def me(served: Running) -> str:
    return str(served.get("/api/auth/me").json["id"])


@pytest.mark.parametrize("path", ["/health", "/api/ext/around-all/broken", "/nothing"])
def test_the_first_answer_takes_the_place_of_the_request(served, around, path):
    around.answers["me"] = Answer(503, {"closed": True}, {"Retry-After": "60"})
    headers = {"X-Ask": "me", "Origin": "https://a.example"}

    answer = served.client.get(path, headers=headers)
    head = served.client.head(path, headers=headers)

    assert (answer.status_code, answer.json) == (503, {"closed": True})
    assert answer.headers["Retry-After"] == "60"
    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"
    assert answer.headers["X-Request-Id"]
    assert answer.headers["X-Seen-By"] == "around"
    assert (head.status_code, head.data) == (503, b"")
    assert around.errors == []


@pytest.mark.parametrize(
    ("answer", "status", "code"),
    [
        (Reject("Come back later.", 429, "busy"), 429, "busy"),
        (ValueError("before"), 500, "extension_error"),
        ({"not": "an answer"}, 500, "extension_error"),
        (Answer(200, object()), 500, "extension_error"),
        (Answer(200, headers={"X-A": "b\r\nX-C: d"}), 500, "extension_error"),
        (Answer(99), 500, "extension_error"),
    ],
)
def test_a_refusal_or_a_failure_before_a_request_is_its_answer(
    served, around, answer, status, code
):
    around.answers["me"] = answer

    given = served.client.get("/health", headers={"X-Ask": "me"})

    assert (given.status_code, given.json["code"]) == (status, code)
    assert given.json["extension"] == "project"
    assert [error.source for error in around.errors] == ["extension"] * (status == 500)


def test_headers_are_changed_added_and_taken_away_but_not_those_of_the_body(served, around):
    wanted = {"cache-control": "no-store", "Content-Length": "1", "X-New": "ü"}
    around.answers["headers"] = wanted

    answer = served.client.get("/api/auth/instance-info")

    assert answer.headers.get_all("Cache-Control") == ["no-store"]
    assert answer.headers["X-New"] == "ü"
    assert int(answer.headers["Content-Length"]) == len(answer.data) > 1


@pytest.mark.parametrize("wanted", [{"X-Fail": "1"}, {"X-A": 3}, {"X-A": "b\r\nX-C: d"}, {"": "x"}])
def test_a_failure_after_a_request_leaves_its_answer_as_it_was(served, around, wanted):
    around.answers["headers"] = wanted

    answer = served.client.get("/health")

    assert answer.status_code == 200
    assert not {"X-Seen-By", "X-Fail", "X-A", "X-C"} & set(answer.headers.keys())
    assert [error.handler.rpartition(":")[2] for error in around.errors] == ["tell"]


class TestErrors:
    def test_of_a_view_are_told_with_its_name(self, served, around):
        served.get("/api/ext/around-all/broken")

        (event,) = around.errors
        assert (event.source, event.extension) == ("extension", "project")
        assert event.handler.endswith("around_all:view")
        assert (event.method, event.path) == ("GET", "/api/ext/around-all/broken")
        assert isinstance(event.error, LookupError)

    def test_of_a_function_are_told_with_its_name(self, served, around):
        served.call("broken")

        (event,) = around.errors
        assert (event.source, event.extension, event.handler) == ("function", None, "broken")
        assert isinstance(event.error, KeyError)

    def test_of_a_handler_are_told_with_its_name(self, served, around):
        made = served.post("/api/collections/bad/records")

        (event,) = around.errors
        assert made.status_code == 201
        assert event.source == "extension"
        assert event.handler.endswith("around_all:fail")
        assert isinstance(event.error, ZeroDivisionError)
        assert event.request_id == made.headers["X-Request-Id"]

    def test_of_the_server_are_told_with_the_request(self, served, around, monkeypatch):
        monkeypatch.setattr(type(served.services.users), "get", lambda *_: 1 / 0)
        answer = served.get("/api/auth/me")

        (event,) = around.errors
        assert answer.status_code == 500
        assert (event.source, event.extension, event.handler) == ("request", None, None)
        assert (event.method, event.path) == ("GET", "/api/auth/me")
        assert event.request_id == answer.headers["X-Request-Id"]
        assert event.actor == "admin"

    def test_that_were_foreseen_are_nobodys_business(self, served, around):
        served.get("/nothing")
        served.get("/api/collections/nothing")
        served.call("nothing")

        assert around.errors == []

    def test_of_on_error_itself_are_not_told(self, served, around):
        around.answers["fail"] = True
        served.get("/api/ext/around-all/broken")

        assert len(around.errors) == 1

    def test_are_told_so_often_and_no_more(self, served, around, monkeypatch):
        monkeypatch.setattr(reporting, "MOST_A_MINUTE", 3)
        reports = served.services.host.around.report.__self__
        monkeypatch.setattr(reports, "_count", 0)
        for _ in range(5):
            served.get("/api/ext/around-all/broken")

        assert len(around.errors) == 3


def test_pages_of_other_origins_read_what_is_answered_directly(served):
    answer = served.client.get("/health", headers={"Origin": "https://a.example"})

    assert answer.headers["Access-Control-Allow-Origin"] == "https://a.example"


def test_nothing_stands_around_a_request_while_nobody_listens(tmp_path, monkeypatch):
    built = []
    monkeypatch.setattr(middleware, "watch_actor", built.append)
    with running(tmp_path) as tinybase:
        assert tinybase.client.get("/health").status_code == 200

    assert built == []
