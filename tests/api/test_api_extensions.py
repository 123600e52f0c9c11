"""Extensions and their handlers over HTTP."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from tinybase.host.ordering import Turn
from tinybase.host.stats import HandlerStats, LastError
from tinybase.packages.inspection.findings import (
    Implementation,
    Inspection,
    Offer,
    Power,
    Route,
    Use,
    Variable,
)
from tinybase.packages.plan import Plan, PlannedPackage
from tinybase.packages.views import InstalledExtension

BASE = "/api/admin/extensions"
ADDRESS = "https://github.com/ann/tinybase-audit"

PLAN = Plan(
    name="audit",
    version="1.2.0",
    description="Audit log",
    author="Ann",
    license="MIT",
    source="github",
    address=ADDRESS,
    subdirectory=None,
    ref="v1.2.0",
    commit="3f9c",
    layout="flat",
    editable=False,
    runs_build_code=False,
    packages=(PlannedPackage("requests", "2.32.3", "HTTP for people"),),
    inspection=Inspection(
        hooks=(
            Implementation(
                *("hooks.py", 8, "tinybase_on_record_create", "on_record_create", "log_create"),
                filters=(("collection", ("orders",)),),
            ),
        ),
        functions=(Offer("functions.py", 3, "ext_sync_all", "admin"),),
        routes=(Route("views.py", 5, "/log", ("GET",)),),
        environment=(Variable("hooks.py", 4, "AUDIT_KEY"),),
        uses=(Use("hooks.py", 12, Power.PROCESSES, "subprocess"),),
    ),
)

AUDIT = InstalledExtension(
    id=UUID("0190b6c2-0000-7000-8000-00000000000a"),
    name="audit",
    version="1.2.0",
    description="Audit log",
    author="Ann",
    license="MIT",
    repo_url=ADDRESS,
    ref="v1.2.0",
    commit="3f9c",
    source="github",
    is_enabled=True,
    status="enabled",
    status_reason=None,
    managed=True,
    generation=12,
    hooks=("tinybase_on_record_create",),
    functions=("ext_sync_all",),
    routes=(),
    installed_at=datetime(2026, 1, 31, 12, tzinfo=UTC),
    updated_at=None,
    update_available=None,
)
OFF = replace(AUDIT, name="off", is_enabled=False, status="disabled", status_reason="It is off.")

HANDLERS = [
    HandlerStats(
        "audit",
        "tinybase_on_record_create",
        "audit.hooks:log_create",
        decorator="on_record_create",
        filters={"collection": ["orders", "test_*"]},
        calls=120,
        errors=1,
        total_ns=340_500_000,
        max_ns=41_200_000,
        buckets=[60, 0, 50, 0, 10, *[0] * 9],
        last_error=LastError(datetime(2026, 1, 31, tzinfo=UTC), "ValueError", "bad order"),
    ),
    HandlerStats(
        "audit",
        "tinybase_on_function_call",
        "audit.hooks:log_call",
        decorator="on_function_call",
        filters={"function_name": ["add"]},
        is_async=True,
    ),
    HandlerStats("other", "tinybase_on_startup", "other:start"),
]


class Anything:
    """Stands in for the pipeline, which has tests of its own."""

    def __init__(self) -> None:
        self.installed: list[tuple[str, str | None]] = []
        self.plan_now = PLAN

    def plan(self, address, *, ref=None):
        return self.plan_now

    def install(self, address, *, ref=None, confirm):
        confirm(self.plan_now)
        self.installed.append((address, ref))
        return AUDIT


class TestList:
    def test_of_a_fresh_instance_is_empty(self, client, admin):
        query = "?enabled_only=true&check_updates=true&limit=5&offset=2"

        answer = client.get(BASE + query, headers=admin.headers)

        assert answer.json == {"extensions": [], "total": 0, "limit": 5, "offset": 2}

    @pytest.mark.parametrize(("query", "times"), [("", 0), ("?check_updates=true", 1)])
    def test_has_newer_releases_looked_for_when_it_is_asked_to(
        self, client, admin, services, monkeypatch, query, times
    ):
        looked: list[str] = []
        monkeypatch.setattr(services.extensions, "list", lambda: [AUDIT])
        monkeypatch.setattr(services.extensions, "get", lambda name: AUDIT)
        monkeypatch.setattr(
            services.extensions.updates, "look_in_background", lambda: looked.append("")
        )

        for path in (BASE, f"{BASE}/audit"):
            assert client.get(path + query, headers=admin.headers).status_code == 200

        assert len(looked) == 2 * times

    def test_is_for_admins(self, client, user):
        assert client.get(BASE, headers=user.headers).status_code == 403
        assert client.get(BASE).status_code == 401

    def test_shows_every_key_of_an_extension(self, client, admin, services, monkeypatch):
        monkeypatch.setattr(services.extensions, "list", lambda: [AUDIT])

        (shown,) = client.get(BASE, headers=admin.headers).json["extensions"]

        assert shown == {
            "id": "0190b6c2-0000-7000-8000-00000000000a",
            "name": "audit",
            "version": "1.2.0",
            "description": "Audit log",
            "author": "Ann",
            "license": "MIT",
            "repo_url": ADDRESS,
            "ref": "v1.2.0",
            "commit": "3f9c",
            "source": "github",
            "is_enabled": True,
            "status": "enabled",
            "status_reason": None,
            "managed": True,
            "generation": 12,
            "hooks": ["tinybase_on_record_create"],
            "functions": ["ext_sync_all"],
            "routes": [],
            "installed_at": "2026-01-31T12:00:00.000000Z",
            "updated_at": None,
            "update_available": None,
        }

    @pytest.mark.parametrize(
        ("query", "names", "total"),
        [
            ("", ["audit", "off"], 2),
            ("enabled_only=true", ["audit"], 1),
            ("status=disabled", ["off"], 1),
            ("status=failed", [], 0),
            ("limit=1", ["audit"], 2),
            ("limit=1&offset=1", ["off"], 2),
        ],
    )
    def test_can_be_narrowed(self, client, admin, services, monkeypatch, query, names, total):
        monkeypatch.setattr(services.extensions, "list", lambda: [AUDIT, OFF])

        answer = client.get(f"{BASE}?{query}", headers=admin.headers).json

        assert [item["name"] for item in answer["extensions"]] == names
        assert answer["total"] == total

    def test_knows_its_statuses(self, client, admin):
        assert client.get(f"{BASE}?status=odd", headers=admin.headers).status_code == 422


class TestUnknownExtension:
    @pytest.mark.parametrize(
        ("method", "path", "body"),
        [
            ("GET", "", None),
            ("PATCH", "", {"is_enabled": True}),
            ("PATCH", "", {}),
            ("DELETE", "", None),
            ("GET", "/hooks", None),
            ("GET", "/metrics", None),
        ],
    )
    def test_is_not_found(self, client, admin, method, path, body):
        answer = client.open(
            f"{BASE}/nobody{path}", method=method, json=body, headers=admin.headers
        )

        assert answer.status_code == 404
        assert answer.json["code"] == "not_found"


class TestInstall:
    @pytest.mark.parametrize("path", ["", "/plan"])
    @pytest.mark.parametrize(
        "address",
        [
            *("", "not a url", "ftp://github.com/a/b", "https://gitlab.com/a/b", "-e", "a\nb"),
            *("/etc", "./folder", "~/x", "..", "https://github.com/", "ext::sh -c id"),
        ],
    )
    def test_of_no_address_is_told_so_even_where_it_is_off(self, client, admin, path, address):
        answer = client.post(BASE + path, json={"repo_url": address}, headers=admin.headers)

        assert answer.status_code == 400
        assert answer.json["code"] == "invalid_source"
        assert "/root" not in answer.text

    @pytest.mark.parametrize("path", ["", "/plan"])
    def test_is_off_by_default(self, client, admin, path):
        answer = client.post(BASE + path, json={"repo_url": ADDRESS}, headers=admin.headers)

        assert answer.status_code == 403
        assert answer.json["code"] == "install_disabled"
        assert "allow_api_install" in answer.json["detail"]

    @pytest.mark.parametrize("path", ["", "/plan"])
    def test_is_for_admins_in_person(self, client, admin, user, path):
        body = {"name": "robot", "scopes": ["admin"]}
        made = client.post("/api/admin/application-tokens", json=body, headers=admin.headers).json
        robot = {"Authorization": f"Bearer {made['token_value']}"}

        for headers, code in ((user.headers, "admin_required"), (robot, "user_required")):
            answer = client.post(BASE + path, json={"repo_url": ADDRESS}, headers=headers)
            assert answer.json["code"] == code


class TestInstallWhereItIsOn:
    @pytest.fixture
    def pipeline(self, app, monkeypatch):
        services = app.extensions["tinybase"]
        anything = Anything()
        monkeypatch.setattr(services.extensions, "plan", anything.plan)
        monkeypatch.setattr(services.extensions, "install", anything.install)
        return anything

    @pytest.fixture
    def app(self, make_app):
        return make_app(TINYBASE_EXTENSIONS_ALLOW_API_INSTALL="true")

    def test_answers_with_the_extension(self, client, admin, pipeline):
        body = {"repo_url": ADDRESS, "ref": "v1.2.0"}
        answer = client.post(BASE, json=body, headers=admin.headers)

        assert answer.status_code == 201
        assert answer.json["name"] == "audit"
        assert answer.headers["Location"] == f"{BASE}/audit"
        assert pipeline.installed == [(ADDRESS, "v1.2.0")]

    def test_shows_a_plan(self, client, admin, pipeline):
        answer = client.post(f"{BASE}/plan", json={"repo_url": ADDRESS}, headers=admin.headers)

        plan = answer.json
        assert plan.pop("plan_id")
        assert plan.pop("expires_at").endswith("Z")
        assert plan == {
            "name": "audit",
            "version": "1.2.0",
            "description": "Audit log",
            "author": "Ann",
            "license": "MIT",
            "ref": "v1.2.0",
            "commit": "3f9c",
            "layout": "flat",
            "runs_build_code": False,
            "packages": [{"name": "requests", "version": "2.32.3", "action": "add"}],
            "conflicts": [],
            "hooks": ["tinybase_on_record_create"],
            "functions": ["ext_sync_all"],
            "routes": ["/log"],
            "environment": ["AUDIT_KEY"],
            "warnings": ["uses subprocess (hooks.py:12)"],
            "installable": True,
        }

    def test_holds_to_a_plan(self, client, admin, pipeline):
        plan = client.post(f"{BASE}/plan", json={"repo_url": ADDRESS}, headers=admin.headers).json
        body = {"repo_url": ADDRESS, "plan_id": plan["plan_id"]}

        pipeline.plan_now = replace(PLAN, commit="moved")
        moved = client.post(BASE, json=body, headers=admin.headers)
        pipeline.plan_now = PLAN
        same = client.post(BASE, json=body, headers=admin.headers)

        assert (moved.status_code, moved.json["code"]) == (409, "conflict")
        assert same.status_code == 201
        assert len(pipeline.installed) == 1

    def test_forgets_a_plan_after_an_hour(self, client, admin, pipeline, monkeypatch):
        plan = client.post(f"{BASE}/plan", json={"repo_url": ADDRESS}, headers=admin.headers).json
        expires_at = datetime.fromisoformat(plan["expires_at"])
        assert expires_at - datetime.now(UTC) > timedelta(minutes=29)
        body = {"repo_url": ADDRESS, "plan_id": plan["plan_id"]}
        statuses = []

        for now in (expires_at - timedelta(seconds=1), expires_at):
            monkeypatch.setattr("tinybase.api.extensions.utcnow", lambda now=now: now)
            statuses.append(client.post(BASE, json=body, headers=admin.headers).status_code)

        assert statuses == [201, 409]

    def test_shows_a_plan_that_cannot_be_carried_out(self, client, admin, pipeline):
        pipeline.plan_now = replace(
            PLAN, conflicts=("flask<2 (3.1.0)",), obstacle="audit does not fit."
        )

        plan = client.post(f"{BASE}/plan", json={"repo_url": ADDRESS}, headers=admin.headers).json

        assert (plan["installable"], plan["conflicts"]) == (False, ["flask<2 (3.1.0)"])


class TestHandlers:
    @pytest.fixture(autouse=True)
    def _installed(self, services, monkeypatch):
        def handlers(name=None):
            return [handler for handler in HANDLERS if name in (None, handler.extension)]

        monkeypatch.setattr(services.host, "handlers", handlers)
        turns = [
            Turn(HANDLERS[0], 3, 10, ("shop",), (), "priority 10 over 0"),
            *(Turn(handler) for handler in HANDLERS[1:]),
        ]
        monkeypatch.setattr(services.host, "turns", lambda: turns)
        monkeypatch.setattr(services.host, "extension", lambda name: AUDIT)

    def test_of_an_extension_are_listed(self, client, admin):
        answer = client.get(f"{BASE}/Audit/hooks", headers=admin.headers).json

        assert answer["extension"] == "audit"
        assert answer["hooks"][0] == {
            "extension": "audit",
            "hook": "tinybase_on_record_create",
            "decorator": "on_record_create",
            "handler": "audit.hooks:log_create",
            "filter": {"collection": ["orders", "test_*"]},
            "order": 3,
            "priority": 10,
            "before": ["shop"],
            "after": [],
            "why": "priority 10 over 0",
            "is_async": False,
            "status": "active",
            "status_reason": None,
        }
        assert [item["order"] for item in answer["hooks"]] == [3, 1]

    def test_of_an_extension_are_counted(self, client, admin):
        answer = client.get(f"{BASE}/audit/metrics", headers=admin.headers).json

        assert answer["since"].endswith("Z")
        assert answer["hooks"][0] == {
            "hook": "tinybase_on_record_create",
            "handler": "audit.hooks:log_create",
            "calls": 120,
            "errors": 1,
            "timeouts": 0,
            "skipped": 0,
            "total_ms": 340.5,
            "mean_ms": 2.837,
            "p95_ms": 16.0,
            "max_ms": 41.2,
            "last_error": {
                "at": "2026-01-31T00:00:00.000000Z",
                "type": "ValueError",
                "message": "bad order",
            },
        }
        assert answer["hooks"][1]["last_error"] is None

    @pytest.mark.parametrize(
        ("query", "handlers"),
        [
            ("", ["audit.hooks:log_create", "audit.hooks:log_call", "other:start"]),
            ("hook=on_record_create", ["audit.hooks:log_create"]),
            ("hook=tinybase_on_record_create&collection=orders", ["audit.hooks:log_create"]),
            ("collection=test_1", ["audit.hooks:log_create"]),
            ("collection=notes", []),
            ("function=add", ["audit.hooks:log_call"]),
            ("function=sub", []),
            ("hook=on_startup", ["other:start"]),
        ],
    )
    def test_of_an_event_are_what_would_run(self, client, admin, query, handlers):
        answer = client.get(f"/api/admin/hooks?{query}", headers=admin.headers).json

        assert [item["handler"] for item in answer["hooks"]] == handlers
