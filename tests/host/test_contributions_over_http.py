"""The settings and collections of an installed extension, over HTTP."""

from __future__ import annotations

import pytest

from tinybase.testing import running

SHOP = """
    from tinybase.extensions import Setting, on_startup, register_collection, register_settings
    from tinybase.functions import register
    from seen import seen

    ORDERS = register_collection("orders", {"fields": [{"name": "item"}]}, read="public")

    @register_settings
    class Settings:
        api_key = Setting(str, required=True, secret=True)
        lanes = Setting(list, default=["a"])

    @on_startup
    def start(ctx):
        seen.append(ctx.collections.find(ORDERS).name)

    @register(name="lanes", auth="public")
    def lanes():
        return {"lanes": Settings.lanes, "length": len(Settings.api_key)}
"""
CONFIG = "/api/admin/extensions/shop/config"


@pytest.fixture
def shop(tmp_path, site, seen):
    site.add("shop", SHOP)
    with running(tmp_path) as tinybase:
        yield tinybase


def test_an_extension_that_waits_for_a_setting_runs_as_soon_as_an_admin_gives_it(shop, seen):
    found = shop.get("/api/admin/extensions/shop").json
    assert (found["status"], found["is_enabled"]) == ("needs_config", True)
    assert "the setting api_key is missing" in found["status_reason"]
    assert shop.post("/api/functions/lanes").status_code == 404
    assert shop.get("/api/collections/orders").status_code == 404
    assert shop.get("/health").json["status"] == "degraded"

    answer = shop.patch(CONFIG, {"values": {"api_key": "sesame", "lanes": ["b", "c"]}})

    assert answer.status_code == 200
    assert (answer.json["status"], answer.json["status_reason"]) == ("enabled", None)
    key, lanes = answer.json["settings"]
    assert (key["value"], key["is_set"], key["secret"]) == (None, True, True)
    assert (lanes["value"], lanes["source"], lanes["default"]) == (["b", "c"], "database", ["a"])
    assert seen == ["orders"]
    assert shop.call("lanes")["result"] == {"lanes": ["b", "c"], "length": 6}
    assert "sesame" not in shop.get(CONFIG).get_data(as_text=True)

    shop.patch(CONFIG, {"values": {"lanes": None}})
    assert shop.call("lanes")["result"]["lanes"] == ["a"]
    shop.patch(CONFIG, {"values": {"api_key": None}})
    assert shop.get("/api/admin/extensions/shop").json["status"] == "needs_config"


def test_values_that_do_not_fit_are_refused_together_and_never_said(shop):
    answer = shop.patch(CONFIG, {"values": {"api_key": ["x17x"], "lines": 1}})

    assert answer.status_code == 422
    assert [error["loc"] for error in answer.json["detail"]] == [
        ["body", "values", "api_key"],
        ["body", "values", "lines"],
    ]
    assert "Did you mean lanes?" in answer.get_data(as_text=True)
    assert "x17x" not in answer.get_data(as_text=True)
    assert shop.get(CONFIG).json["settings"][0]["is_set"] is False


def test_only_admins_see_settings(shop):
    user = shop.user("user@example.com")

    assert shop.get(CONFIG, headers=user).status_code == 403
    assert shop.patch(CONFIG, {"values": {}}, headers={}).status_code == 401
    assert shop.get("/api/admin/extensions/nobody/config").status_code == 404
