"""``/metrics``: what Prometheus reads, and who may."""

from __future__ import annotations

import logging
import sys
import textwrap
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import select
from uuid_utils.compat import uuid7

from tinybase.db import tables, utcnow
from tinybase.extensions import HandlerError, register_metric
from tinybase.host.loading import unload
from tinybase.host.metrics import Metrics
from tinybase.testing import Running

SHOP = """
    import threading
    from prometheus_client import Counter, Gauge
    from tinybase.extensions import on_record_create, register_metric

    orders = register_metric(Counter("shop_orders", "Orders taken.", ["kind"], registry=None))
    stock = register_metric(Gauge("shop_stock", "Pieces.", registry=None))
    go_on = threading.Event()

    @on_record_create(collection="orders")
    def count(event):
        orders.labels("new").inc()
        if event.data.get("bad"):
            raise ValueError("bad")

    @register_metric
    class Odd:
        fault = None

        @classmethod
        def collect(cls):
            return cls.fault() if cls.fault else []
"""


@pytest.fixture
def served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_app: Callable[..., Flask]
) -> Iterator[Running]:
    packages = tmp_path / "packages"
    (packages / "shop").mkdir(parents=True)
    source = textwrap.dedent(SHOP).replace("@register_metric\nclass Odd", "class Odd")
    (packages / "shop" / "__init__.py").write_text(f"{source}\nregister_metric(Odd())\n")
    info = packages / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tinybase.extensions]\nshop = shop\n")
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    app = make_app(TINYBASE_HOOKS_DECIDE_SECONDS="1")
    tinybase = Running(app, app.extensions["tinybase"], app.test_client())
    tinybase.headers = tinybase.user("admin@example.com", is_admin=True)
    yield tinybase
    sys.modules["shop"].go_on.set()
    unload("shop")


def numbers(served: Running) -> dict[str, dict[tuple[str, ...], float]]:
    """Return what the page says, by name and the values of the labels."""
    answer = served.get("/metrics")
    assert answer.status_code == 200
    assert answer.content_type.startswith("text/plain; version=0.0.4")
    found: dict[str, dict[tuple[str, ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            labels = tuple(value for name, value in sample.labels.items() if name != "worker")
            found.setdefault(sample.name, {})[labels] = sample.value
    return found


def sell(served: Running, **data: object) -> None:
    assert served.post("/api/collections/orders/records", json={"data": data}).status_code == 201


def test_calls_errors_and_durations_are_summed_over_all_workers(served):
    served.post(
        "/api/collections",
        json={"name": "orders", "schema": {"fields": [{"name": "bad", "type": "boolean"}]}},
    )
    sell(served)
    sell(served, bad=True)
    key = ("shop", "shop:count", "tinybase_on_record_create")
    counted = dict(zip(("extension", "handler", "hook"), key, strict=True))
    with served.services.database.write() as work:
        work.connection.execute(
            tables.worker_metrics.insert().values(
                process_id=uuid7(),
                started_at=utcnow(),
                updated_at=utcnow(),
                handlers=[
                    counted
                    | {"calls": 5, "errors": 1, "timeouts": 2, "total_ms": 9000.0}
                    | {"max_ms": 4000.0, "last_error": None}
                ],
            )
        )

    found = numbers(served)

    assert found["tinybase_handler_calls_total"][key] == 7
    assert found["tinybase_handler_errors_total"][key] == 2
    assert found["tinybase_handler_timeouts_total"][key] == 2
    assert found["tinybase_handler_duration_seconds_count"][key] == 7
    assert 9 < found["tinybase_handler_duration_seconds_sum"][key] < 12
    assert found["tinybase_handler_duration_seconds_max"][key] == 4
    assert found["tinybase_extension_info"]["shop", "enabled", "1.0"] == 1
    assert found["shop_orders_total"]["new",] == 2
    assert found["shop_stock"][()] == 0
    shown = next(
        item
        for item in served.get("/api/admin/extensions/shop/metrics").json["hooks"]
        if item["handler"] == "shop:count"
    )
    assert shown["mean_ms"] == pytest.approx(shown["total_ms"] / 7, abs=0.001)

    served.client.patch(
        "/api/admin/extensions/shop", json={"is_enabled": False}, headers=served.headers
    )
    assert "shop_stock" not in numbers(served)


def sold(served: Running) -> float:
    calls = numbers(served)["tinybase_handler_calls_total"]
    return calls["shop", "shop:count", "tinybase_on_record_create"]


FAULTS = {
    "an exception": ("raise ValueError('boom')", "boom"),
    "an end of the process": ("raise SystemExit(3)", "SystemExit"),
    "nothing of use": ("return 7", "not iterable"),
    "a hang": ("shop.go_on.wait()", "did not answer"),
    "a name of our own": ("return Gauge('tinybase_info', 'x', registry=None).collect()", "own"),
    "a name that is taken": ("return Gauge('shop_stock', 'x', registry=None).collect()", "already"),
    "a number that is none": (
        "family = Metric('odd', '', 'gauge'); family.add_sample('odd', {}, 'x'); return [family]",
        "could not convert",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_broken_collector_breaks_nothing_but_itself(served, caplog, fault):
    code, said = FAULTS[fault]
    names: dict[str, object] = {}
    body = f"import shop\nfrom prometheus_client import *\ndef fault():\n    {code}\n"
    exec(body, names)
    caplog.set_level(logging.ERROR)
    sys.modules["shop"].Odd.fault = names["fault"]

    found = numbers(served)

    assert found["shop_stock"] == {(): 0}
    assert set(found["tinybase_info"].values()) == {1}
    (record,) = [record for record in caplog.records if "extension shop" in record.message]
    assert "Odd 3" in record.message
    assert said in record.message


@pytest.mark.parametrize("scope", ["metrics", "read", "admin"])
def test_an_application_token_may_read_them(served, scope):
    body = {"name": "prometheus", "scopes": [scope]}
    token = served.post("/api/admin/application-tokens", json=body).json["token_value"]
    headers = {"Authorization": f"Bearer {token}"}

    assert served.client.get("/metrics", headers=headers).status_code == 200
    if scope == "metrics":
        refused = served.client.get("/api/admin/hooks", headers=headers)
        assert (refused.status_code, refused.json["code"]) == (403, "scope_required")


def test_nobody_else_may(served):
    user = served.user("user@example.com")

    assert served.client.get("/metrics").status_code == 401
    assert served.client.get("/metrics", headers=user).json["code"] == "admin_required"


@pytest.mark.parametrize("thing", [7, "x", dict, type("C", (), {"collect": lambda self: []})])
def test_what_is_no_collector_is_refused_where_it_is_written(thing):
    with pytest.raises(HandlerError, match="registry=None"):
        register_metric(thing)


def test_requests_are_counted_by_their_routes_whatever_clients_ask_for(served):
    served.collection("orders", {"fields": [{"name": "bad", "type": "boolean"}]})
    for name in ("a", "b"):
        assert served.get(f"/api/collections/{name}").status_code == 404
        assert served.get(f"/nothing/{name}").status_code == 404
    served.client.open("/health", method="ODD")
    sell(served)
    with served.services.database.write() as work:
        work.connection.execute(
            tables.worker_metrics.insert().values(
                process_id=uuid7(),
                started_at=utcnow(),
                updated_at=utcnow(),
                handlers=[],
                requests=[
                    {"method": "GET", "route": "/api/collections/{collection_name}"}
                    | {"status": 200, "total_ms": 6000.0, "buckets": [0] * 12 + [2, 0]}
                ],
            )
        )

    found = numbers(served)

    counted = found["tinybase_http_requests_total"]
    one = ("GET", "/api/collections/{collection_name}")
    assert counted[*one, "404"] == 2
    assert counted[*one, "200"] == 2
    assert counted["POST", "/api/collections/{collection_name}/records", "201"] == 1
    assert counted["GET", "other", "404"] == 2
    assert counted["other", "other", "405"] == 1
    assert found["tinybase_http_request_duration_seconds_count"][one] == 4
    assert 6 < found["tinybase_http_request_duration_seconds_sum"][one] < 9
    buckets = found["tinybase_http_request_duration_seconds_bucket"]
    assert buckets["+Inf", *one] == 4
    assert buckets["2.5", *one] == 2


def test_counters_of_workers_that_ended_are_kept_in_one_row(served):
    served.collection("orders", {"fields": [{"name": "bad", "type": "boolean"}]})
    sell(served)
    metrics, host = served.services.host._metrics, served.services.host
    metrics.publish(host._counters(), host.requests, now=True)
    long_ago = utcnow() - timedelta(days=3)
    before = sold(served)
    with served.services.database.write() as work:
        row = work.connection.execute(select(tables.worker_metrics)).one()
        for _ in range(2):
            values = {**row._mapping, "process_id": uuid7(), "updated_at": long_ago}
            work.connection.execute(tables.worker_metrics.insert().values(**values))

    for _ in range(2):
        served.get("/health")
        metrics.publish(host._counters(), host.requests, now=True)

    with served.services.database.connect() as connection:
        ids = connection.execute(select(tables.worker_metrics.c.process_id)).scalars().all()
    assert len(ids) == 2
    assert (before, sold(served)) == (1, 3)


def test_after_a_long_sleep_nobody_is_taken_for_ended_before_he_could_speak(served, monkeypatch):
    host = served.services.host
    mine, other = Metrics(served.services.database), Metrics(served.services.database)
    mine.publish([], host.requests, now=True)
    other.publish([], host.requests, now=True)
    later = utcnow() + timedelta(days=9)
    monkeypatch.setattr("tinybase.host.metrics.utcnow", lambda: later)

    for each in (mine, other, mine):
        each.publish([], host.requests, now=True)

    with served.services.database.connect() as connection:
        ids = connection.execute(select(tables.worker_metrics.c.process_id)).scalars().all()
    assert len(ids) == 2
