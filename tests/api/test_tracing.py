"""``X-TinyBase-Trace``: an admin sees what a request calls."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from werkzeug.test import TestResponse

from tinybase.host.loading import unload
from tinybase.testing import PASSWORD, Running, running

SHOP = """
    import threading
    from flask import Blueprint
    from tinybase.extensions import *
    from tinybase.functions import register

    go_on = threading.Event()
    api = Blueprint("api", __name__)
    register_blueprint(api, auth="public")

    @before_record_create(collection="orders")
    def check(event):
        event.data["item"] = event.data["item"].lower()
        if event.data["item"] == "poison":
            raise Reject("We do not sell \\u2620.", 409, "not_sold")
        if event.data["item"] == "odd":
            raise ValueError("no\\nluck")

    @on_record_create(collection="orders")
    def reserve(event, ctx):
        ctx.records.create("notes", {"text": event.data["item"]})

    @on_record_create(collection="orders", priority=-1)
    def mail(event):
        if event.data["item"] == "slow":
            go_on.wait(20)
        if event.data["item"] == "broken":
            raise RuntimeError("401 for key sk_live_51Habcdefgh\\nsecond line")

    @on_record_create(collection="notes")
    def note(event):
        pass

    @before_function_call(name="report")
    def may_report(event):
        pass

    @before_user_login
    def may_sign_in(event):
        pass

    @register(name="report", auth="admin")
    def report(payload, ctx):
        ctx.records.create("notes", {"text": "report"})

    @api.get("/hello")
    def hello(ctx):
        ctx.records.create("notes", {"text": "hello"})
        return {"hello": "you"}

    @api.get("/no")
    def refuse():
        raise Reject("Not you.", 403, "no")

    @before_record_create(collection="hang")
    def hang(event):
        go_on.wait(20)
"""

Installed = Callable[..., Running]


@pytest.fixture
def install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_app: Callable[..., Flask]
) -> Iterator[Installed]:
    packages = tmp_path / "packages"
    (packages / "shop").mkdir(parents=True)
    (packages / "shop" / "__init__.py").write_text(textwrap.dedent(SHOP))
    info = packages / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tinybase.extensions]\nshop = shop\n")
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def install(**environ: str) -> Running:
        waiting = {"TINYBASE_HOOKS_WAIT_MS": "30000", "TINYBASE_HOOKS_DECIDE_SECONDS": "1"}
        app = make_app(**{**waiting, **environ})
        tinybase = Running(app, app.extensions["tinybase"], app.test_client())
        tinybase.headers = tinybase.user("admin@example.com", is_admin=True)
        for name in ("orders", "notes", "hang"):
            tinybase.collection(name, {"fields": [{"name": "item"}, {"name": "text"}]})
        return tinybase

    yield install
    if "shop" in sys.modules:
        sys.modules["shop"].go_on.set()
    unload("shop")


@pytest.fixture
def shop(install: Installed) -> Running:
    return install()


def traced(shop: Running, method: str, path: str, body: object = None) -> TestResponse:
    headers = {**shop.headers, "X-TinyBase-Trace": "1"}
    return shop.client.open(path, method=method, json=body, headers=headers)


def order(shop: Running, item: str) -> TestResponse:
    return traced(shop, "POST", "/api/collections/orders/records", {"data": {"item": item}})


def tree(answer: TestResponse) -> list[Any]:
    """Return what was called, as nested lists of names and outcomes."""
    return branches(json.loads(answer.headers["X-TinyBase-Trace"])["calls"])


def branches(calls: list[dict[str, Any]]) -> list[Any]:
    return [
        [
            call["handler"].partition(":")[2] or call["handler"],
            call["outcome"],
            *branches(call.get("calls", [])),
        ]
        for call in calls
    ]


def test_the_answer_tells_who_was_called_in_which_order_and_what_they_caused(shop):
    answer = order(shop, "Tea")

    assert answer.status_code == 201
    assert tree(answer) == [
        ["check", "changed"],
        ["reserve", "ok", ["note", "ok"]],
        ["mail", "ok"],
    ]
    first = json.loads(answer.headers["X-TinyBase-Trace"])["calls"][0]
    assert 0 <= first.pop("ms") < 1000
    assert first == {
        "hook": "before_record_create",
        "extension": "shop",
        "handler": "shop:check",
        "about": "orders",
        "outcome": "changed",
    }
    assert answer.headers.getlist("Cache-Control") == ["no-store"]


@pytest.mark.parametrize(
    ("item", "status", "expected", "error"),
    [
        ("poison", 409, ["check", "rejected"], "409 not_sold: We do not sell \u2620."),
        ("odd", 500, ["check", "failed"], "ValueError: no"),
        ("broken", 201, ["mail", "failed"], "RuntimeError: 401 for key ***"),
    ],
)
def test_it_tells_why_without_what_may_be_secret(shop, item, status, expected, error):
    answer = order(shop, item)

    assert answer.status_code == status
    assert tree(answer)[-1] == expected
    last = json.loads(answer.headers["X-TinyBase-Trace"])["calls"][-1]
    assert last["error"] == error


def test_what_the_request_does_not_wait_for_is_still_running(install):
    shop = install(TINYBASE_HOOKS_WAIT_MS="100")

    assert tree(order(shop, "slow"))[-1] == ["mail", "running"]


def test_who_is_asked_and_does_not_answer_is_late(shop):
    answer = traced(shop, "POST", "/api/collections/hang/records", {"data": {}})

    assert answer.status_code == 500
    assert tree(answer) == [["hang", "late"]]


WRAPPER = """
import threading
from tinybase.extensions import Reject, before_record_create, hookimpl

@hookimpl(wrapper=True, specname="tinybase_before_record_create")
def around(event):
    outcome = yield
    if event.data["item"] == "poison":
        raise Reject("No.", 409, "no")
    return outcome

@before_record_create()
def within(event):
    threading.Event().wait(0.5)
"""


def test_both_halves_of_a_wrapper_are_one_call_whose_time_is_its_own(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "wrapping_shop.py").write_text(WRAPPER)
    with running(tmp_path / "instance", modules=["wrapping_shop"]) as shop:
        shop.collection("orders", {"fields": [{"name": "item"}]})
        sold, refused = order(shop, "tea"), order(shop, "poison")

    assert tree(sold) == [["around", "ok"], ["within", "ok"]]
    around, within = json.loads(sold.headers["X-TinyBase-Trace"])["calls"]
    assert around["ms"] < 500 <= within["ms"]
    assert tree(refused) == [["around", "rejected"], ["within", "ok"]]


def test_who_is_quarantined_is_told_apart(shop):
    (mail,) = (each for each in shop.services.host.handlers() if each.handler == "shop:mail")
    mail.put_in_quarantine("for a test")

    assert tree(order(shop, "Tea"))[-1] == ["mail", "quarantined"]


def test_a_batch_a_function_a_route_and_a_login_are_seen_too(shop):
    batch = {"operations": [{"op": "create", "data": {"item": item}} for item in ("a", "B")]}
    answer = traced(shop, "POST", "/api/collections/orders/records/batch", batch)
    assert answer.status_code == 200, answer.text
    seen = [call[:2] for call in tree(answer)]
    assert seen.count(["check", "ok"]) == 1
    assert seen.count(["check", "changed"]) == 1
    assert seen.count(["reserve", "ok"]) == 2

    answer = traced(shop, "POST", "/api/functions/report", {})
    assert tree(answer) == [["may_report", "ok"], ["report", "ok", ["note", "ok"]]]

    answer = traced(shop, "GET", "/api/ext/shop/hello")
    assert tree(answer) == [["hello", "ok", ["note", "ok"]]]
    answer = traced(shop, "GET", "/api/ext/shop/no")
    assert (answer.status_code, tree(answer)) == (403, [["refuse", "rejected"]])

    body = {"email": "admin@example.com", "password": PASSWORD}
    assert tree(traced(shop, "POST", "/api/auth/login", body)) == [["may_sign_in", "ok"]]


def test_nobody_else_gets_a_trace(shop):
    body = {"name": "reader", "scopes": ["read"]}
    token = shop.post("/api/admin/application-tokens", body).json["token_value"]
    admin = shop.headers
    for headers in ({}, shop.user("user@example.com"), {"Authorization": f"Bearer {token}"}):
        shop.headers = headers
        for path in ("/api/collections", "/api/admin/users", "/health", "/api/ext/shop/hello"):
            plain = shop.client.get(path, headers=headers)
            answer = traced(shop, "GET", path)
            assert "X-TinyBase-Trace" not in answer.headers
            assert answer.headers["Vary"] == plain.headers["Vary"] if "Vary" in plain.headers else 1
            assert answer.headers.get("Cache-Control") == plain.headers.get("Cache-Control")
    shop.headers = admin
    assert "X-TinyBase-Trace" in traced(shop, "GET", "/health").headers
    assert "X-TinyBase-Trace" not in shop.get("/health").headers


def test_a_long_trace_leaves_out_whole_entries_and_says_how_many(shop):
    items = [{"op": "create", "data": {"item": "tea"}} for _ in range(60)]
    answer = traced(shop, "POST", "/api/collections/orders/records/batch", {"operations": items})

    found = answer.headers["X-TinyBase-Trace"]
    assert len(found) <= 8 * 1024

    def count(calls: list[dict[str, Any]]) -> int:
        return sum(1 + count(call.get("calls", [])) for call in calls)

    shown = json.loads(found)
    assert shown["left_out"] + count(shown["calls"]) == 60 * 4
