"""The examples in the reference of the hooks work, every one of them."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest
from pages import DOCS

import tinybase_hookspecs
from tinybase.host.kinds import COLLECTING
from tinybase.testing import PASSWORD, Running, running

HOOKS = {name for name in tinybase_hookspecs.__all__ if name.startswith("tinybase_")}
ELSEWHERE = {
    "tinybase_on_extension_disable",  # needs an installed extension
    "tinybase_on_extension_enable",
    "tinybase_on_error",  # needs a fault, and no example has one
    "tinybase_on_shutdown",
}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS / "examples"))
        with running(tmp_path_factory.mktemp("shop"), modules=["every_hook"]) as tinybase:
            assert tinybase.services.host.project_failures() == {}
            open_shop(tinybase)
            yield tinybase
        sys.modules.pop("every_hook")


def open_shop(shop: Running) -> None:
    """Let everything happen that a handler of the examples is asked about or told of."""
    for name in ("orders", "invoices", "returns"):
        fields = [{"name": "item"}, {"name": "pieces", "type": "integer"}, {"name": "remark"}]
        everyone = dict.fromkeys(("list", "read", "create", "update", "delete"), "auth")
        shop.collection(name, {"fields": fields}, **everyone)
    shop.user("robot@example.com")


def trade(shop: Running) -> None:
    """Use the shop as its customers would."""
    key = {"Authorization": "ApiKey secret"}
    order = {"item": " Tea", "pieces": 2, "remark": "rude"}
    made = shop.post("/api/collections/orders/records", order, key).json
    assert made["data"] == {"item": "tea", "pieces": 2, "remark": None}
    path = f"/api/collections/orders/records/{made['id']}"
    assert shop.delete(path).json["code"] == "order_is_open"
    assert shop.patch(path, {"item": "coffee"}).json["code"] == "item_is_fixed"
    assert shop.patch(path, {"pieces": 0}).status_code == 200
    assert shop.get(path, key).status_code == 404
    assert shop.delete(path).status_code == 204
    order["pieces"] = 101
    assert shop.post("/api/collections/orders/records", order).json["code"] == "too_many"
    assert shop.call("price", {"pieces": 0})["result"] == {"price": 3}


def sign_in(shop: Running) -> None:
    """Register, sign in and out, and be changed and deleted."""
    ada = {"email": "ada@example.com", "password": PASSWORD}
    eve = {"email": "eve@elsewhere.org", "password": PASSWORD}
    gone = {"email": "former-bob@example.com", "password": PASSWORD}
    assert shop.post("/api/auth/register", eve, {}).json["code"] == "not_a_colleague"
    user = shop.post("/api/auth/register", ada, {}).json
    shop.post("/api/auth/register", gone, {})
    assert shop.post("/api/auth/login", gone, {}).json["code"] == "closed"
    tokens = shop.post("/api/auth/login", ada, {}).json
    bearer = {"Authorization": f"Bearer {tokens['access_token']}"}
    assert shop.get("/api/auth/me", bearer).json["claims"] == {"team": "ada"}
    assert shop.post("/api/auth/logout", {}, bearer).status_code == 200
    path = f"/api/admin/users/{user['id']}"
    changes = {"is_admin": True, "password": f"another {PASSWORD}"}
    assert shop.patch(path, changes).status_code == 200
    assert shop.delete(path).status_code == 204


def rearrange(shop: Running) -> None:
    """Create, change and delete collections."""
    short = shop.post("/api/collections", {"name": "ab", "schema": {}})
    assert short.json["code"] == "name_too_short"
    bare = {"schema": {"fields": [{"name": "pieces", "type": "integer"}]}}
    assert shop.patch("/api/collections/orders", bare).json["code"] == "item_is_needed"
    assert shop.patch("/api/collections/returns", bare).status_code == 200
    assert shop.delete("/api/collections/invoices").json["code"] == "is_kept"
    assert shop.delete("/api/collections/returns").status_code == 204


def test_every_example_is_called_and_does_what_it_says(shop: Running) -> None:
    trade(shop)
    sign_in(shop)
    rearrange(shop)
    assert shop.get("/help").headers["Location"] == "/docs"
    assert shop.get("/docs").headers["X-Frame-Options"] == "DENY"
    assert shop.get("/api/ext/every_hook/notes", {}).json["notes"] > 1

    turns = [turn.handler for turn in shop.services.host.turns()]
    assert {stats.hook for stats in turns} == HOOKS - COLLECTING
    assert [s.handler for s in turns if s.errors] == []
    assert {s.hook for s in turns if not s.calls} <= ELSEWHERE


@pytest.mark.parametrize("hook", sorted(COLLECTING - {"tinybase_register_functions"}))
def test_the_example_of_a_contribution_brings_something(shop: Running, hook: str) -> None:
    assert shop.services.host.contributions.of(hook)
