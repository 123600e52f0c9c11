"""What holds for all routes of the whole application."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, url_for
from openapi_spec_validator import validate

from tinybase.api.operation import Operation, Who
from tinybase.api.registration import operations_of
from tinybase.host import ExtensionState

OPERATIONS: list[Operation] = operations_of(SimpleNamespace())  # type: ignore[arg-type]
WITHOUT_OPERATION = {"/openapi.json", "/docs", "/redoc"}

each_operation = pytest.mark.parametrize("operation", OPERATIONS, ids=lambda item: item.id)


def _words(text: str) -> set[str]:
    return set(text.split())


CONTRACT = _words(
    """
    system_get_root system_get_health system_get_healthz system_get_ready auth_register
    auth_login auth_refresh_token auth_logout auth_get_me auth_update_me
    auth_request_password_reset auth_confirm_password_reset auth_get_instance_info
    auth_get_setup_status auth_get_portal_config collections_list_collections
    collections_create_collection collections_get_collection collections_update_collection
    collections_delete_collection collections_list_records collections_create_record
    collections_get_record collections_update_record collections_delete_record
    functions_list_functions functions_call_function functions_get_function_schema
    functions_list_functions_admin admin_list_function_calls admin_get_function_call
    admin_list_users admin_create_user admin_get_user admin_update_user admin_delete_user
    admin_get_settings admin_update_settings admin_list_application_tokens
    admin_create_application_token admin_update_application_token admin_revoke_application_token
    extensions_list_extensions extensions_get_extension extensions_update_extension
    extensions_delete_extension extensions_create_extension extensions_plan_extension
    extensions_list_extension_hooks extensions_get_extension_metrics extensions_list_hooks
    """
)
"""The operation ids that generated clients rely on."""

COMPONENTS = _words(
    """
    RegisterRequest RegisterResponse LoginRequest LoginResponse SetupStatusResponse
    InstanceInfoResponse PasswordResetRequest PasswordResetRequestResponse PasswordResetConfirm
    PasswordResetConfirmResponse LogoutResponse PortalConfigResponse CollectionCreate
    CollectionUpdate CollectionResponse RecordCreate RecordUpdate RecordResponse
    RecordListResponse FunctionInfo AdminFunctionInfo FunctionCallResponse FunctionSchemaResponse
    FunctionCallInfo FunctionCallListResponse UserCreate UserUpdate UserListResponse
    InstanceSettingsResponse InstanceSettingsUpdate ApplicationTokenInfo
    ApplicationTokenListResponse ApplicationTokenCreate ApplicationTokenCreateResponse
    ApplicationTokenUpdate ExtensionInfo ExtensionListResponse ExtensionInstallRequest
    ExtensionUpdateRequest ErrorResponse ValidationErrorResponse ExtensionPlan ExtensionHooks
    ExtensionMetrics tinybase__api__routes__auth__UserInfo tinybase__api__routes__admin__UserInfo
    """
)
"""The component names that generated clients rely on."""

BODIES = [
    b"",
    b"nonsense",
    b"[]",
    b"null",
    b'"text"',
    b'{"a": 1, "a": 2}',
    b'{"a": NaN}',
    b'{"a": "\\u0000"}',
    b'{"a": "\\ud800"}',
    b'{"a": 9223372036854775808}',
    b'{"a": 1e400}',
    b"\xff\xfe",
    b'{"a":' + b"[" * 100 + b"]" * 100 + b"}",
]

VALUES: list[Any] = [
    *(None, True, 0, -1, 2**63 - 1, -(2**63), 1.5, 1e308, "", "x", "x" * 2000, "0", "null"),
    *("\u202e", "e\u0301", "ﬁ", "a@b", "a@b.cd" * 60, "a\nb", "'; DROP TABLE users; --", "%s"),
    *("{}", "../../etc/passwd", "2026-13-45", "9" * 400, [], [None], [[]], {}, {"": None}),
    *({"fields": None}, {"fields": [None]}, {"fields": [{"name": "a", "type": []}]}),
    *({"access": {"list": []}}, {"fields": [{"name": "a", "pattern": "("}]}, "https://x/y/z"),
]

QUERY_VALUES = [
    *("", "-1", "0", "1", "x", "x" * 2000, "99999999999999999999", "1e309", "null", "[]", "{}"),
    *("%00", "%ff", "%ed%a0%80", "%C3%A9", "a,b", "%27%3B--", "true", "2026-01-31T12:00:00Z"),
]

PATH_VALUES = [
    "0190b6c2-0000-7000-8000-000000000000",
    *("x", "X-_.", "%00", "%ff", "%C3%A9", "..", "%2F", "x" * 1000, "'; --", "%25", "1", "[a]"),
]

JSON = "application/json"
EMAIL = "root@example.com"
PASSWORD = "correct horse battery staple"
NOBODY = "0190b6c2-0000-7000-8000-000000000000"


class House:
    """An application with one of everything, and an admin who may do everything there."""

    def __init__(self, app: Flask) -> None:
        self.client = app.test_client()
        services = app.extensions["tinybase"]
        with app.app_context():
            services.users.create(EMAIL, PASSWORD, is_admin=True)
            services.users.create("second@example.com", PASSWORD)
        self._sign_in()

    def call(self, operation: Operation, path: str, **options: Any) -> Any:
        """Send a request as the admin."""
        options = {"headers": self.headers, **options}
        answer = self.client.open(path, method=operation.method, **options)
        if operation.id == "auth_logout" and answer.status_code == 200:
            self._sign_in()
        return answer

    def path(self, operation: Operation, **values: str) -> str:
        """Return the path to something that exists, but for the given ``values``."""
        known = self._things() | values
        return re.sub(r"<(?:\w+:)?(\w+)>", lambda match: known[match[1]], operation.path)

    def _sign_in(self) -> None:
        answer = self.client.post("/api/auth/login", json={"email": EMAIL, "password": PASSWORD})
        self.headers = {"Authorization": f"Bearer {answer.json['access_token']}"}

    def _things(self) -> dict[str, str]:
        """Return the names of one of everything; makes what an earlier request deleted."""
        self._post("/api/collections", {"name": "x", "schema": {}})
        users = self.client.get("/api/admin/users", headers=self.headers).json["users"]
        others = [item["id"] for item in users if item["email"] != EMAIL]
        tokens = self._post("/api/admin/application-tokens", {"name": "t"})["token"]
        return {
            "collection_name": "x",
            "record_id": self._post("/api/collections/x/records", {"data": {}})["id"],
            "user_id": others[0] if others else NOBODY,
            "token_id": tokens["id"],
            "function_name": "missing",
            "extension_name": "missing",
            "call_id": NOBODY,
        }

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self.client.post(path, json=body, headers=self.headers).json


@pytest.fixture(scope="module")
def house(start_app) -> Iterator[House]:
    with start_app() as app:
        yield House(app)


def assert_refused_in_shape(answer, about: str) -> None:
    assert 400 <= answer.status_code < 500, f"{about}: {answer.status_code} {answer.text}"
    body = answer.json
    assert {"detail", "code", "request_id"} <= body.keys(), about
    expected = list if answer.status_code == 422 else str
    assert isinstance(body["detail"], expected), f"{about}: {body}"
    assert body["request_id"] == answer.headers["X-Request-Id"]


def assert_no_server_error(answer, about: str) -> None:
    assert answer.status_code < 500, f"{about}: {answer.status_code} {answer.text}"


def test_flask_writes_the_address_of_an_operation(app):
    given = {"collection_name": "büro", "record_id": "7"}

    with app.test_request_context():
        address = url_for("collections_get_record", **given)
        again = url_for("collections_get_record", **given, view="long")

    assert address == "/api/collections/b%C3%BCro/records/7"
    assert again == f"{address}?view=long"


class TestDocument:
    def test_is_valid(self, client):
        validate(client.get("/openapi.json").json)

    def test_has_every_operation_of_the_contract(self, client):
        document = client.get("/openapi.json").json

        found = [
            operation["operationId"]
            for path in document["paths"].values()
            for operation in path.values()
        ]
        assert len(found) == len(set(found))
        assert set(found) >= CONTRACT

    def test_has_every_component_of_the_contract(self, client):
        schemas = client.get("/openapi.json").json["components"]["schemas"]

        assert schemas.keys() >= COMPONENTS

    def test_knows_every_route_and_every_route_is_an_operation(self, app, client):
        document = client.get("/openapi.json").json
        documented = {
            (method.upper(), path): operation["operationId"]
            for path, methods in document["paths"].items()
            for method, operation in methods.items()
        }
        aliases = {alias for operation in OPERATIONS for alias in operation.aliases}

        served = {
            (method, re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)): rule.endpoint
            for rule in app.url_map.iter_rules()
            for method in rule.methods - {"HEAD", "OPTIONS"}
            if rule.rule not in WITHOUT_OPERATION | aliases
            and "/assets/" not in rule.rule
            and not rule.rule.startswith("/api/ext/")
        }

        assert served == documented

    def test_puts_the_token_first_where_one_may_be_sent(self, client):
        paths = client.get("/openapi.json").json["paths"]
        bearer = {"HTTPBearer": []}

        assert paths["/api/collections"]["get"]["security"] == [bearer, {}]
        assert paths["/api/auth/me"]["get"]["security"] == [bearer]
        assert paths["/api/auth/login"]["post"]["security"] == []

    def test_says_that_requests_take_no_further_keys_and_answers_may_have_some(self, client):
        schemas = client.get("/openapi.json").json["components"]["schemas"]

        assert schemas["UserCreate"]["additionalProperties"] is False
        assert "additionalProperties" not in schemas["UserListResponse"]

    @each_operation
    def test_describes_every_operation(self, operation):
        assert operation.summary
        assert operation.id.startswith(f"{operation.tag}_")
        assert operation.answers
        assert (operation.who in (Who.RULE, Who.FUNCTION)) <= (operation.admit is not None)


class TestPages:
    @pytest.mark.parametrize("path", ["/docs", "/redoc", "/docs/"])
    def test_load_everything_from_this_server(self, client, path):
        page = client.get(path)

        assert page.status_code == 200
        links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
        assert links
        for link in links:
            assert link.startswith("/")
            with client.get(link) as asset:
                assert asset.status_code == 200

    def test_work_below_a_prefix(self, client):
        page = client.get("/docs", environ_overrides={"SCRIPT_NAME": "/base"})

        assert 'src="/base/docs/assets/' in page.text

    @pytest.mark.parametrize(
        "name", ["../__init__.py", "%2e%2e/__init__.py", "..%2f__init__.py", "js/missing.js", "js"]
    )
    def test_give_no_other_file_away(self, client, name):
        assert client.get(f"/docs/assets/{name}").status_code == 404

    def test_can_be_switched_off(self, make_app):
        client = make_app(TINYBASE_API_DOCS="false").test_client()

        assert client.get("/docs").status_code == 404
        assert client.get("/redoc").status_code == 404
        assert client.get("/").json["docs"] is None
        assert client.get("/openapi.json").status_code == 200


class TestEveryOperation:
    def test_refuses_an_unknown_query_key(self, house):
        for operation in OPERATIONS:
            answer = house.call(operation, house.path(operation) + "?surely_unknown=1")

            assert_refused_in_shape(answer, operation.id)
            if operation.who is not Who.FUNCTION:  # there is none, and that comes first
                assert answer.json["code"] == "unknown_parameter", operation.id

    def test_asks_for_whom_it_needs(self, house):
        for operation in OPERATIONS:
            answer = house.call(operation, house.path(operation), headers={})

            if operation.who in (Who.USER, Who.ADMIN, Who.ADMIN_USER, Who.METRICS):
                assert answer.status_code == 401, operation.id
                assert answer.headers["WWW-Authenticate"] == "Bearer"

    def test_takes_a_bad_token_for_nobody_only_where_it_is_public(self, house):
        bad = {"Authorization": "Bearer tba_nonsense"}
        for operation in OPERATIONS:
            answer = house.call(operation, house.path(operation), headers=bad)

            if operation.who is not Who.PUBLIC:
                assert answer.json["code"] == "invalid_token", operation.id
                assert answer.status_code == 401
            elif operation.id != "auth_refresh_token":
                assert answer.status_code != 401, operation.id

    def test_answers_options_and_refuses_other_methods(self, house):
        for operation in OPERATIONS:
            path = house.path(operation)
            options = house.client.options(path)

            assert options.status_code == 204
            allowed = set(options.headers["Allow"].split(", "))
            assert operation.method in allowed
            for method in {"GET", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} - allowed:
                answer = house.client.open(path, method=method)
                assert answer.status_code == 405, operation.id
                assert answer.json["code"] == "method_not_allowed"
                assert set(answer.headers["Allow"].split(", ")) == allowed


class TestNoInput:
    """Nothing that a client sends is an error of the server."""

    @each_operation
    def test_in_a_path_is(self, house, operation):
        names = re.findall(r"<(?:\w+:)?(\w+)>", operation.path)
        for name, value in itertools.product(names, PATH_VALUES):
            answer = house.call(operation, house.path(operation, **{name: value}))
            assert_no_server_error(answer, f"{name}={value}")

    @each_operation
    def test_in_a_query_is(self, house, operation):
        keys = list(operation.query().fields) if operation.query else []
        if operation.query_patterns:
            keys += [f"filter[{name}]{op}" for name in ("x", "created_at") for op in ("", "[in]")]
        path = house.path(operation)
        for key, value in itertools.product([*keys, "unknown"], QUERY_VALUES):
            answer = house.call(operation, f"{path}?{key}={value}")
            assert_no_server_error(answer, f"{key}={value[:50]}")

    @each_operation
    def test_that_is_no_good_json_is(self, house, operation):
        if operation.body is None:
            return
        path = house.path(operation)
        for body in BODIES:
            answer = house.call(operation, path, data=body, content_type=JSON)
            if body or operation.body_required:
                assert_refused_in_shape(answer, f"{operation.id} {body[:30]!r}")

    @each_operation
    def test_of_another_type_is(self, house, operation):
        if operation.body is None:
            return
        names = list(operation.body().fields) or ["a", "data"]
        fine = {"email": "someone@example.com", "password": "long enough 4 all", "name": "y"}
        complete = {name: value for name, value in fine.items() if name in names}
        path = house.path(operation)
        for name, value in itertools.product(names, VALUES):
            answer = house.call(operation, path, json={**complete, name: value})
            assert_no_server_error(answer, f"{operation.id} {name}={str(value)[:50]!r}")


class TestHealth:
    def test_says_what_this_is(self, client):
        assert client.get("/").json == {
            "name": "TinyBase",
            "version": "0.4.0",
            "docs": "/docs",
            "openapi": "/openapi.json",
            "admin": None,
            "auth": None,
        }

    def test_is_told_without_a_database(self, client, services, monkeypatch):
        monkeypatch.setattr(services.database, "engine", None)

        assert client.get("/health").json == {"status": "healthy"}
        assert client.get("/healthz").json == {"status": "ok"}

    @pytest.mark.parametrize(
        ("status", "reason", "health", "check"),
        [
            ("enabled", None, "healthy", "ok"),
            ("disabled", "switched off", "healthy", "ok"),
            ("failed", "RuntimeError: boom", "degraded", "degraded"),
            ("quarantined", "it took too long", "degraded", "degraded"),
            ("enabled", "on_startup failed", "degraded", "degraded"),
        ],
    )
    def test_is_what_the_list_of_extensions_says(
        self, client, admin, services, status, reason, health, check
    ):
        services.host.snapshot.states["odd"] = ExtensionState(
            "odd", "1.0", status, reason, managed=False
        )

        (listed,) = client.get("/api/admin/extensions", headers=admin.headers).json["extensions"]
        alive, ready = client.get("/health"), client.get("/health/ready")

        assert (listed["status"], listed["status_reason"]) == (status, reason)
        assert (alive.status_code, alive.json) == (200, {"status": health})
        assert (ready.status_code, ready.json["checks"]["extensions"]) == (200, check)
        assert "odd" not in ready.text

    def test_of_a_ready_instance_names_its_checks(self, client):
        answer = client.get("/health/ready")

        assert answer.json == {
            "status": "ready",
            "checks": {"database": "ok", "migrations": "ok", "extensions": "ok"},
        }

    def test_of_an_instance_without_tables_is_not_ready(self, client, services):
        with services.database.write() as work:
            work.connection.exec_driver_sql("DROP TABLE alembic_version")

        answer = client.get("/health/ready")

        assert answer.status_code == 503
        assert answer.json["code"] == "not_ready"
        assert answer.json["checks"]["migrations"] == "failed"
        assert answer.json["checks"]["database"] == "ok"
        assert "Retry-After" in answer.headers

    def test_is_looked_at_once_a_second(self, client, services, monkeypatch):
        client.get("/health/ready")
        monkeypatch.setattr(services.database, "engine", None)

        assert client.get("/health/ready").status_code == 200
