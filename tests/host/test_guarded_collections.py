"""Guarded collections: closed to all but admins while their extension does not run."""

from __future__ import annotations

import threading
from contextlib import contextmanager

import pytest

from tinybase import config
from tinybase.app import create_app
from tinybase.db import db
from tinybase.testing import Running

SHOP = """
    from tinybase.extensions import (
        Setting, before_record_create, on_shutdown, on_startup, register_collection,
        register_settings,
    )

    register_collection(
        "orders", {"fields": [{"name": "item"}, {"name": "checked", "type": "boolean"}]},
        guarded=True, list="public", create="public", update="auth", delete="auth",
    )

    @register_settings
    class Settings:
        key = Setting(str, required=True)

    @before_record_create(collection="orders")
    def check(event):
        event.data["checked"] = True

    @on_startup
    def start(ctx):
        ctx.records.create("orders", {"item": "start"})

    @on_shutdown
    def stop(ctx):
        ctx.records.create("orders", {"item": "stop"})
"""
SNOOP = """
    import threading
    from flask import Blueprint
    from tinybase.extensions import on_record_create, register_blueprint
    from tinybase.functions import register
    from seen import seen

    routes = Blueprint("snoop", __name__)
    register_blueprint(routes, auth="public")

    @routes.get("/orders")
    def orders(ctx):
        return {"total": ctx.records.list("orders").total}

    @register(name="snoop", auth="public")
    def snoop(ctx):
        return {"total": ctx.records.list("orders").total}

    @register(name="snoop_aside", auth="public")
    def snoop_aside(ctx):
        def look():
            try:
                with ctx.open() as own:
                    own.records.list("orders")
            except Exception as error:
                seen.append(error.code)

        thread = threading.Thread(target=look)
        thread.start()
        thread.join()
        return {}

    @on_record_create(collection="notes")
    def follow(event, ctx):
        try:
            ctx.records.create("orders", {"item": "snooped"}, hooks=False)
        except Exception as error:
            seen.append(error.code)
"""
ORDERS = "/api/collections/orders"
RECORDS = f"{ORDERS}/records"
SHOP_ADMIN = "/api/admin/extensions/shop"
KEY = {"TINYBASE_EXT_SHOP_KEY": "sesame"}


@pytest.fixture
def open_shop(tmp_path, site):
    """Return what starts a worker of one instance."""
    site.add("shop", SHOP)

    @contextmanager
    def start(environ=KEY):
        app = create_app(config.load(tmp_path, environ))
        services = app.extensions["tinybase"]
        db.metadata.create_all(services.database.engine)
        try:
            services.host.start()
            found = Running(app, services, app.test_client())
            admin = f"{len(services.users.list()[0])}@example.com"
            found.headers = found.user(admin, is_admin=True)
            yield found
        finally:
            services.close()

    return start


@pytest.fixture
def shop(open_shop):
    with open_shop() as tinybase:
        yield tinybase


def switch(tinybase, *, on):
    assert tinybase.patch(SHOP_ADMIN, {"is_enabled": on}).status_code == 200


def items(tinybase):
    return sorted(record["data"]["item"] for record in tinybase.get(RECORDS).json["records"])


def assert_closed(answer):
    assert answer.status_code == 503, answer.get_data(as_text=True)
    assert (answer.json["code"], answer.json["extension"]) == ("extension_unavailable", "shop")
    assert "tinybase collections disown orders" in answer.json["detail"]
    assert "tinybase extensions uninstall shop --purge" in answer.json["detail"]


def requests_on(record_id):
    one = f"{RECORDS}/{record_id}"
    operations = [{"op": "create", "data": {"item": "tea"}}]
    return [
        ("GET", RECORDS, {}),
        ("GET", one, {}),
        ("POST", RECORDS, {"json": {"item": "tea"}}),
        ("PUT", one, {"json": {"item": "tea"}}),
        ("PATCH", one, {"json": {"item": "tea"}}),
        ("DELETE", one, {}),
        ("POST", f"{RECORDS}/batch", {"json": {"operations": operations}}),
    ]


def test_everybody_but_admins_is_answered_503_whatever_they_want(shop):
    record_id = shop.post(RECORDS, {"item": "tea"}).json["id"]
    user = shop.user("user@example.com")
    switch(shop, on=False)

    for headers in ({}, user):
        for method, path, options in requests_on(record_id):
            assert_closed(shop.client.open(path, method=method, headers=headers, **options))

    assert "tea" in items(shop), "an admin gets at the data"
    assert shop.patch(f"{RECORDS}/{record_id}", {"item": "coffee"}).status_code == 200
    assert shop.get(ORDERS, headers=user).status_code == 200, "only the records are closed"

    switch(shop, on=True)
    assert shop.get(RECORDS, headers={}).status_code == 200
    assert shop.post(RECORDS, {"item": "milk"}, headers=user).json["data"]["checked"] is True


def test_it_is_closed_from_the_first_request_while_a_setting_is_missing(open_shop):
    with open_shop():
        pass

    with open_shop({}) as tinybase:
        assert_closed(tinybase.get(RECORDS, headers={}))
        assert tinybase.get(SHOP_ADMIN).json["status"] == "needs_config"


@pytest.mark.parametrize("why", ["failed", "gone", "safe mode"])
def test_it_is_closed_for_whatever_reason_the_extension_does_not_run(why, open_shop, site):
    with open_shop():
        pass
    if why == "failed":
        site.add("shop", SHOP + "    1 / 0\n")
    elif why == "gone":
        site.remove("shop")

    with open_shop({"TINYBASE_EXTENSIONS": "none"} if why == "safe mode" else KEY) as tinybase:
        assert_closed(tinybase.get(RECORDS, headers={}))
        assert tinybase.get(RECORDS).status_code == 200


def test_its_own_code_is_let_in_before_it_counts_as_running_and_afterwards(shop):
    assert items(shop) == ["start"]

    switch(shop, on=False)
    shop.services.host.refresh()
    assert items(shop) == ["start", "stop"]

    switch(shop, on=True)
    assert items(shop) == ["start", "start", "stop"]


def test_code_of_others_is_not_let_in_whoever_called_it(open_shop, site, seen):
    site.add("snoop", SNOOP)
    with open_shop() as tinybase:
        tinybase.collection("notes", {"fields": []})
        assert tinybase.call("snoop")["result"] == {"total": 1}
        switch(tinybase, on=False)

        assert_closed(tinybase.get("/api/ext/snoop/orders"))
        assert tinybase.call("snoop")["error_type"] == "Unavailable"
        tinybase.post("/api/functions/snoop_aside")
        tinybase.post("/api/collections/notes/records", {})
        tinybase.services.host.drain(10)

    assert seen == ["extension_unavailable"] * 2


def test_another_worker_closes_it_when_it_switches_itself_and_not_before(open_shop):
    with open_shop() as one, open_shop() as other:
        switch(one, on=False)
        assert_closed(one.get(RECORDS, headers={}))
        answer = other.post(RECORDS, {"item": "tea"}, headers={})
        assert answer.status_code == 503 or answer.json["data"]["checked"] is True

        other.services.host.refresh()
        assert_closed(other.get(RECORDS, headers={}))


def test_no_request_gets_past_the_guard_while_the_extension_is_switched(shop):
    stop, answers = threading.Event(), []

    def order():
        with shop.app.test_client() as client:
            while not stop.is_set():
                answers.append(client.post(RECORDS, json={"item": "tea"}))

    threads = [threading.Thread(target=order) for _ in range(3)]
    for thread in threads:
        thread.start()
    for number in range(6):
        switch(shop, on=bool(number % 2))
    stop.set()
    for thread in threads:
        thread.join()

    statuses = {answer.status_code for answer in answers}
    assert statuses <= {201, 503}
    assert all(a.json["data"]["checked"] is True for a in answers if a.status_code == 201)
    records = shop.get(f"{RECORDS}?limit=1000").json["records"]
    assert all(record["data"]["checked"] for record in records if record["data"]["item"] == "tea")


def test_a_version_that_guards_no_longer_opens_it(open_shop, site):
    with open_shop():
        pass
    site.add("shop", SHOP.replace("guarded=True, ", ""))

    with open_shop() as tinybase:
        switch(tinybase, on=False)
        assert tinybase.get(RECORDS, headers={}).status_code == 200


def test_a_guard_has_to_be_true_or_false(open_shop, site):
    site.add("shop", SHOP.replace("guarded=True", "guarded='yes'"))

    with open_shop() as tinybase:
        found = tinybase.get(SHOP_ADMIN).json
        assert found["status"] == "failed"
        assert "the collection 'orders': guarded is True or False" in found["status_reason"]
