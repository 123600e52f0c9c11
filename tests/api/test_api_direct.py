"""The short way in answers what Flask would."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, current_app, has_request_context, request_started

from tinybase.testing import Running, running

RULES = dict.fromkeys(("list", "read", "create", "update", "delete"), "auth")


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with running(tmp_path_factory.mktemp("direct")) as tinybase:
        tinybase.collection("notes", {"fields": [{"name": "text", "required": True}]}, **RULES)
        yield tinybase


def through_flask(served: Running, method: str, path: str, **options: Any) -> Any:
    """Send a request as if somebody had given the application more to do."""
    hooks = served.app.after_request_funcs[None]
    hooks.append(lambda response: response)
    try:
        return served.client.open(path, method=method, **options)
    finally:
        hooks.pop()


def shown(answer: Any) -> tuple[Any, ...]:
    headers = {name: value for name, value in answer.headers if name != "X-Request-Id"}
    body = answer.get_json(silent=True)
    if isinstance(body, dict):
        body.pop("request_id", None)
    return answer.status, headers, body


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/health", None),
        ("HEAD", "/health", None),
        ("OPTIONS", "/health", None),
        ("PUT", "/health", None),
        ("GET", "/health/", None),
        ("GET", "/api/collections/notes/records", None),
        ("GET", "/api/collections/notes/records?limit=0", None),
        ("GET", "/api/collections/notes/records?nothing=1", None),
        ("GET", "/api/collections//records", None),
        ("GET", "/api/collections/n%C3%B6tes/records", None),
        ("GET", "/api/collections/notes/records/no-id", None),
        ("GET", "/api/collections/notes/records/0190b6c2-0000-7000-8000-000000000001", None),
        ("POST", "/api/collections/notes/records", {"text": 1}),
        ("POST", "/api/collections/notes/records", None),
        ("GET", "/api/nothing", None),
        ("GET", "/api/auth/me", None),
        ("POST", "/api/auth/login", {"email": "nobody@example.com", "password": "wrong-horse"}),
    ],
)
def test_both_ways_give_the_same_answer(
    served: Running, method: str, path: str, body: object
) -> None:
    options = {"json": body, "headers": served.headers}

    direct = served.client.open(path, method=method, **options)

    assert shown(direct) == shown(through_flask(served, method, path, **options))


def test_a_record_comes_the_same_on_both_ways(served: Running) -> None:
    made = served.post("/api/collections/notes/records", {"text": "ü 😀"})
    path = made.headers["Location"]

    for headers in (served.headers, {**served.headers, "If-None-Match": made.headers["ETag"]}, {}):
        direct = served.client.get(path, headers=headers)
        assert shown(direct) == shown(through_flask(served, "GET", path, headers=headers))


@pytest.mark.parametrize("way", ["before", "after", "teardown", "appcontext", "signal"])
def test_flask_answers_as_soon_as_somebody_counts_on_it(tmp_path: Path, way: str) -> None:
    seen: list[bool] = []

    def note(*_: Any, **__: Any) -> Any:
        seen.append(
            current_app.name == "tinybase" and has_request_context() is (way != "appcontext")
        )

    def note_response(response: Any) -> Any:
        note()
        return response

    with running(tmp_path) as tinybase:
        _register(tinybase.app, way, note, note_response)
        assert tinybase.client.get("/health").status_code == 200
        request_started.disconnect(note)

    assert seen == [True]


def _register(app: Flask, way: str, note: Any, note_response: Any) -> None:
    if way == "before":
        app.before_request(note)
    elif way == "after":
        app.after_request(note_response)
    elif way == "teardown":
        app.teardown_request(note)
    elif way == "appcontext":
        app.teardown_appcontext(note)
    else:
        request_started.connect(note, app)


def test_a_function_has_flasks_request_around_it(tmp_path: Path) -> None:
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "look.py").write_text(
        "from flask import request\n"
        "from tinybase.functions import register\n"
        "@register(name='look', description='Look.', auth='public')\n"
        "def look(ctx) -> dict:\n"
        "    return {'path': request.path}\n"
    )
    with running(tmp_path) as tinybase:
        answer = tinybase.call("look")

    assert answer["result"] == {"path": "/api/functions/look"}


SLOW = """
import threading

from tinybase.extensions import health_check

begun, go_on = threading.Event(), threading.Event()


@health_check("slow")
def wait():
    begun.set()
    go_on.wait(20)
"""


def test_nobody_waits_for_long_behind_a_reader_that_is_slow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "slow_to_tell.py").write_text(SLOW)
    monkeypatch.syspath_prepend(str(tmp_path))
    with running(tmp_path / "site", modules=["slow_to_tell"]) as tinybase:
        slow = sys.modules["slow_to_tell"]
        tinybase.collection("notes", {"fields": [{"name": "text"}]})
        reader = threading.Thread(target=tinybase.app.test_client().get, args=("/health/ready",))
        reader.start()
        try:
            assert slow.begun.wait(10)
            for _ in range(3):
                assert tinybase.get("/api/collections/notes/records").status_code == 200
            assert not slow.go_on.is_set()
            assert reader.is_alive()
        finally:
            slow.go_on.set()
            reader.join()
