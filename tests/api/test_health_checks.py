"""Health checks of extensions: what they say, and what they can do no harm to."""

from __future__ import annotations

import logging
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest
from flask import Flask

from tinybase.errors import Conflict
from tinybase.extensions import HandlerError, health_check
from tinybase.host import health
from tinybase.host.loading import unload
from tinybase.testing import Running, running

SHOP = """
    import threading
    from tinybase.extensions import health_check

    faults, calls, go_on = {}, [], threading.Event()

    @health_check("mail-server")
    def look_at_mail():
        calls.append("mail-server")
        if "mail-server" in faults:
            raise ConnectionError("no route to mail.example.com")

    @health_check("bank")
    async def look_at_bank():
        calls.append("bank")
        if "bank" in faults:
            raise SystemExit("bank")

    @health_check("slow")
    def wait():
        calls.append("slow")
        if "slow" in faults:
            go_on.wait()
"""


@pytest.fixture
def served(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_app: Callable[..., Flask]
) -> Iterator[Running]:
    packages = tmp_path / "packages"
    (packages / "shop").mkdir(parents=True)
    (packages / "shop" / "__init__.py").write_text(textwrap.dedent(SHOP))
    info = packages / "shop-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: shop\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[tinybase.extensions]\nshop = shop\n")
    monkeypatch.syspath_prepend(str(packages))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", 0.0)
    monkeypatch.setattr("tinybase.api.system._REMEMBERED_SECONDS", 0.0)
    app = make_app()
    tinybase = Running(app, app.extensions["tinybase"], app.test_client())
    tinybase.headers = tinybase.user("admin@example.com", is_admin=True)
    yield tinybase
    sys.modules["shop"].go_on.set()
    unload("shop")


@pytest.fixture
def shop(served: Running, caplog: pytest.LogCaptureFixture) -> ModuleType:
    caplog.set_level(logging.WARNING)
    assert served.services.host.snapshot.states["shop"].status == "enabled"
    return sys.modules["shop"]


def ready(served: Running) -> tuple[int, str, str | None]:
    """Return what a probe sees, and what the list of extensions says."""
    answer = served.client.get("/health/ready")
    shown = served.get("/api/admin/extensions/shop").json
    assert shown["status"] == "enabled"
    assert "shop" not in answer.text
    return answer.status_code, answer.json["checks"]["extensions"], shown["status_reason"]


def test_a_check_that_fails_degrades_the_extension_and_not_the_server(served, shop, caplog):
    assert ready(served) == (200, "ok", None)

    shop.faults["mail-server"] = shop.faults["bank"] = True
    reason = (
        "health check mail-server failed: ConnectionError: no route to mail.example.com; "
        "health check bank failed: SystemExit: bank"
    )
    assert ready(served) == (200, "degraded", reason)
    assert served.client.get("/health").json == {"status": "degraded"}
    assert "extension shop: health check mail-server failed: ConnectionError" in caplog.text

    shop.faults.clear()
    assert ready(served) == (200, "ok", None)


def test_what_a_check_says_is_kept_for_processes_that_load_nothing(served, shop):
    served.patch("/api/admin/extensions/shop", {"is_enabled": True})
    shop.faults["bank"] = True
    ready(served)

    deadline = time.monotonic() + 10
    while served.services.host.desired.read()["shop"].status_reason is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert "bank" in str(served.services.host.desired.read()["shop"].status_reason)


def test_a_check_that_hangs_is_waited_for_so_long_and_not_run_twice(served, shop, monkeypatch):
    monkeypatch.setattr(health, "WAIT_SECONDS", 0.1)
    shop.faults["slow"] = True
    for _ in range(3):
        status, extensions, reason = ready(served)
        assert (status, extensions) == (200, "degraded")
        assert reason == "health check slow failed: it did not end within 0.1 s"

    assert shop.calls.count("slow") == 1
    assert shop.calls.count("bank") == 3


def test_probes_do_not_run_the_checks_again_and_again(served, shop, monkeypatch):
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", 60.0)
    for _ in range(5):
        ready(served)

    assert sorted(shop.calls) == ["bank", "mail-server", "slow"]


def test_checks_are_gone_with_their_extension(served, shop):
    shop.faults["bank"] = True
    served.patch("/api/admin/extensions/shop", {"is_enabled": False})
    shop.calls.clear()

    assert served.client.get("/health/ready").json["checks"]["extensions"] == "ok"
    assert shop.calls == []


def test_calls_of_checks_are_among_the_numbers_of_the_extension(served, shop):
    shop.faults["bank"] = True
    ready(served)

    numbers = served.get("/api/admin/extensions/shop/metrics").json["hooks"]
    assert {(item["handler"], item["calls"], item["errors"]) for item in numbers} == {
        ("mail-server", 1, 0),
        ("bank", 1, 1),
        ("slow", 1, 0),
    }


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (
            "health_check('a')(globals)\nhealth_check('a')(print)",
            "there are two health checks called",
        ),
        ("health_check('a b')(print)", "Choose another one."),
        ("health_check(print)", "takes a name"),
        ("health_check('a')(3)", "Put it directly above a def."),
    ],
)
def test_a_check_that_cannot_be_run_is_refused_with_a_remedy(tmp_path, caplog, lines, message):
    caplog.set_level(logging.CRITICAL)
    (tmp_path / "functions").mkdir()
    source = f"from tinybase.extensions import health_check\n{lines}\n"
    (tmp_path / "functions" / "bad.py").write_text(source)

    with pytest.raises(Conflict, match=message), running(tmp_path):
        pass


def test_a_check_that_takes_ctx_can_look_into_the_database(tmp_path, monkeypatch):
    code = """
        from tinybase.extensions import health_check

        @health_check("orders")
        def look_at_orders(ctx):
            found = ctx.records.list("orders").total
            if found:
                raise RuntimeError(f"{found} orders wait")
    """
    (tmp_path / "kiosk.py").write_text(textwrap.dedent(code))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(health, "REMEMBERED_SECONDS", 0.0)
    monkeypatch.setattr("tinybase.api.system._REMEMBERED_SECONDS", 0.0)
    with running(tmp_path / "instance", modules=["kiosk"]) as tinybase:
        tinybase.collection("orders", {"fields": [{"name": "item"}]})
        assert tinybase.get("/health/ready").json["checks"]["extensions"] == "ok"
        tinybase.post("/api/collections/orders/records", {"item": "tea"})
        assert tinybase.get("/health/ready").json["checks"]["extensions"] == "degraded"
    unload("kiosk")


def test_a_check_that_requires_more_than_ctx_is_refused_at_import():
    with pytest.raises(HandlerError, match="nothing or ctx"):

        @health_check("mail")
        def look(server): ...
