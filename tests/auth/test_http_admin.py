"""Users, settings and application tokens, as an admin's client sees them."""

import threading
from uuid import uuid4

import pytest

PASSWORD = "correct horse battery staple"
SETTINGS = "/api/admin/settings"
TOKENS = "/api/admin/application-tokens"
USERS = "/api/admin/users"


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def fault_of(answer):
    assert answer.status_code == 422, answer.json
    (fault,) = answer.json["detail"]
    return fault["loc"], fault["type"]


def outcome(answer):
    return answer.status_code, answer.json["code"]


@pytest.fixture
def application(services):
    """Return the headers of an application token that may do everything."""
    return bearer(services.tokens.applications.create("everything")[1])


# Users


def test_an_admin_creates_reads_changes_and_deletes_a_user(client, admin):
    body = {"email": "ann@example.com", "password": PASSWORD, "is_admin": True}
    created = client.post(USERS, json=body, headers=admin.headers)
    assert created.status_code == 201
    path = f"{USERS}/{created.json['id']}"
    assert list(created.json) == [
        "id",
        "email",
        "is_admin",
        "is_active",
        "created_at",
        "updated_at",
    ]

    assert client.get(path, headers=admin.headers).json == created.json
    changed = client.patch(path, json={"is_admin": False, "email": None}, headers=admin.headers)
    assert (changed.status_code, changed.json["is_admin"]) == (200, False)
    assert changed.json["email"] == "ann@example.com"
    deleted = client.delete(path, headers=admin.headers)
    assert (deleted.status_code, deleted.data) == (204, b"")
    for method in ("GET", "PATCH", "DELETE"):
        answer = client.open(path, method=method, json={}, headers=admin.headers)
        assert outcome(answer) == (404, "not_found")


def test_users_are_listed_in_pages(client, admin, make_user):
    people = [admin, make_user(), make_user()]

    answer = client.get(f"{USERS}?limit=2&offset=1", headers=admin.headers)

    assert answer.status_code == 200
    assert [user["id"] for user in answer.json["users"]] == [str(p.id) for p in people[1:]]
    assert {key: answer.json[key] for key in ("total", "limit", "offset")} == {
        "total": 3,
        "limit": 2,
        "offset": 1,
    }


def test_users_are_filtered(client, admin, user):
    def found(query):
        answer = client.get(f"{USERS}?{query}", headers=admin.headers)
        return [each["id"] for each in answer.json["users"]]

    assert found("is_admin=yes") == [str(admin.id)]
    assert found("is_admin=0&is_active=ON") == [str(user.id)]
    assert found(f"email={user.email.upper()}") == [str(user.id)]
    assert found("is_active=false") == []


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("limit=0", 422, "validation_error"),
        ("limit=1001", 422, "validation_error"),
        ("offset=-1", 422, "validation_error"),
        ("is_admin=perhaps", 422, "validation_error"),
        ("emial=x", 400, "unknown_parameter"),
        ("email=a&email=b", 400, "duplicate_parameter"),
    ],
)
def test_a_bad_query_is_refused(client, admin, query, status, code):
    assert outcome(client.get(f"{USERS}?{query}", headers=admin.headers)) == (status, code)


def test_a_user_id_that_is_none_is_refused(client, admin):
    answer = client.get(f"{USERS}/me", headers=admin.headers)

    assert fault_of(answer) == (["path", "user_id"], "invalid_uuid")


@pytest.mark.parametrize(
    "key", ["id", "password_hash", "email_key", "created_at", "updated_at", "Is_Admin"]
)
def test_the_server_s_own_fields_cannot_be_set(client, admin, user, key):
    for method, path in (("POST", USERS), ("PATCH", f"{USERS}/{user.id}")):
        body = {"email": "x@example.com", "password": PASSWORD, key: "x"}
        answer = client.open(path, method=method, json=body, headers=admin.headers)
        assert fault_of(answer) == (["body", key], "unknown_field")


def test_a_taken_address_is_refused(client, admin, user):
    body = {"email": user.email.upper(), "password": PASSWORD}

    assert outcome(client.post(USERS, json=body, headers=admin.headers)) == (400, "email_taken")
    answer = client.patch(f"{USERS}/{admin.id}", json={"email": user.email}, headers=admin.headers)
    assert outcome(answer) == (400, "email_taken")


def test_the_last_admin_and_oneself_stay(client, admin, services):
    own = f"{USERS}/{admin.id}"

    assert outcome(client.delete(own, headers=admin.headers)) == (400, "cannot_delete_self")
    for change in ({"is_admin": False}, {"is_active": False}):
        answer = client.patch(own, json=change, headers=admin.headers)
        assert outcome(answer) == (400, "last_admin")
    assert client.get(own, headers=admin.headers).json["is_active"]


def test_admins_who_demote_one_another_at_once_leave_one(app, services, make_user):
    people = [make_user(is_admin=True) for _ in range(4)]
    statuses = []

    def demote(actor, victim):
        answer = app.test_client().patch(
            f"{USERS}/{victim.id}", json={"is_admin": False}, headers=actor.headers
        )
        statuses.append(answer.status_code)

    pairs = zip(people, [*people[1:], people[0]], strict=True)
    threads = [threading.Thread(target=demote, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert services.users.list(is_admin=True)[1] >= 1
    assert set(statuses) <= {200, 400, 403}


@pytest.mark.parametrize("change", [{"password": "another horse battery"}, {"is_active": False}])
def test_an_admin_ends_the_sessions_of_a_user(client, admin, user, change):
    client.patch(f"{USERS}/{user.id}", json=change, headers=admin.headers)

    answer = client.get("/api/auth/me", headers=user.headers)
    assert outcome(answer) == (401, "invalid_token")


def test_a_demoted_admin_is_none_from_the_next_request(client, admin, make_user):
    other = make_user(is_admin=True)
    assert client.get(USERS, headers=other.headers).status_code == 200

    client.patch(f"{USERS}/{other.id}", json={"is_admin": False}, headers=admin.headers)

    assert outcome(client.get(USERS, headers=other.headers)) == (403, "admin_required")


def test_an_application_token_makes_itself_no_successor(client, admin, user, application):
    person = {"email": "new@example.com", "password": PASSWORD}
    attempts = [
        client.post(USERS, json={**person, "is_admin": True}, headers=application),
        client.patch(f"{USERS}/{user.id}", json={"is_admin": True}, headers=application),
        client.patch(f"{USERS}/{admin.id}", json={"password": PASSWORD}, headers=application),
        client.delete(f"{USERS}/{admin.id}", headers=application),
        client.get(TOKENS, headers=application),
        client.post(TOKENS, json={"name": "successor"}, headers=application),
    ]

    assert {outcome(answer) for answer in attempts} == {(403, "user_required")}
    assert client.post(USERS, json=person, headers=application).status_code == 201
    assert client.delete(f"{USERS}/{user.id}", headers=application).status_code == 204


@pytest.mark.parametrize("path", [USERS, SETTINGS, TOKENS])
def test_what_admins_manage_is_closed_to_others(client, user, path):
    assert outcome(client.get(path)) == (401, "not_authenticated")
    assert outcome(client.get(path, headers=user.headers)) == (403, "admin_required")


# Settings


def test_all_settings_are_shown_but_the_secret_ones(client, admin):
    answer = client.get(SETTINGS, headers=admin.headers)

    assert answer.status_code == 200
    assert answer.json == {
        "instance_name": "TinyBase",
        "allow_public_registration": True,
        "server_timezone": "UTC",
        "token_cleanup_interval": 60,
        "metrics_collection_interval": 360,
        "scheduler_function_timeout_seconds": None,
        "scheduler_max_schedules_per_tick": None,
        "scheduler_max_concurrent_executions": None,
        "max_concurrent_functions_per_user": None,
        "storage_enabled": False,
        "storage_endpoint": None,
        "storage_bucket": None,
        "storage_region": None,
        "auth_portal_enabled": False,
        "auth_portal_logo_url": None,
        "auth_portal_background_image_url": None,
        "auth_portal_primary_color": None,
        "auth_portal_login_redirect_url": None,
        "auth_portal_register_redirect_url": None,
        "updated_at": None,
    }


def test_a_form_may_send_the_whole_object_back(client, admin):
    shown = client.get(SETTINGS, headers=admin.headers).json
    changed = {**shown, "instance_name": "Shop", "storage_secret_key": "s3cret"}

    first = client.patch(SETTINGS, json=changed, headers=admin.headers)
    second = client.patch(SETTINGS, json=first.json, headers=admin.headers)

    assert first.status_code == second.status_code == 200
    assert first.json == second.json
    assert first.json["instance_name"] == "Shop"
    assert first.json["updated_at"].endswith("Z")
    assert b"s3cret" not in first.data
    assert client.get("/api/auth/instance-info").json == {"instance_name": "Shop"}


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("instance_name", "", "too_short"),
        ("instance_name", "x" * 101, "too_long"),
        ("instance_name", 7, "invalid_type"),
        ("allow_public_registration", "yes", "invalid_type"),
        ("token_cleanup_interval", 0, "too_small"),
        ("token_cleanup_interval", "60", "invalid_type"),
        ("token_cleanup_interval", 1.5, "invalid_type"),
        ("token_cleanup_interval", True, "invalid_type"),
        ("max_concurrent_functions_per_user", 0, "too_small"),
        ("storage_endpoint", "x" * 501, "too_long"),
        ("storage_secret_key", "x" * 201, "too_long"),
        ("auth_portal_primary_color", {}, "invalid_type"),
        ("instance_nam", "x", "unknown_field"),
    ],
)
def test_a_bad_setting_is_refused(client, admin, key, value, fault):
    answer = client.patch(SETTINGS, json={key: value}, headers=admin.headers)

    assert fault_of(answer) == (["body", key], fault)


def test_an_unknown_timezone_is_told_in_a_sentence(client, admin):
    answer = client.patch(SETTINGS, json={"server_timezone": "Mars"}, headers=admin.headers)

    assert outcome(answer) == (400, "invalid_timezone")
    assert "timezone" in answer.json["detail"]


def test_the_portal_needs_its_redirects(client, admin):
    answer = client.patch(SETTINGS, json={"auth_portal_enabled": True}, headers=admin.headers)

    assert outcome(answer) == (400, "invalid_redirect_url")


# Application tokens


def test_an_application_token_is_made_used_and_revoked(client, admin):
    created = client.post(
        TOKENS, json={"name": "monitoring", "scopes": ["read"]}, headers=admin.headers
    )
    assert created.status_code == 201
    token, value = created.json["token"], created.json["token_value"]
    assert value.startswith("tbx_")
    assert list(token) == [
        "id",
        "name",
        "description",
        "scopes",
        "created_at",
        "last_used_at",
        "expires_at",
        "is_active",
        "is_valid",
    ]

    assert client.get(USERS, headers=bearer(value)).status_code == 200
    (listed,) = client.get(TOKENS, headers=admin.headers).json["tokens"]
    assert listed.pop("last_used_at").endswith("Z")
    assert listed == {key: value for key, value in token.items() if key != "last_used_at"}
    path = f"{TOKENS}/{token['id']}"
    assert client.delete(path, headers=admin.headers).status_code == 204
    assert outcome(client.get(USERS, headers=bearer(value))) == (401, "invalid_token")
    (listed,) = client.get(TOKENS, headers=admin.headers).json["tokens"]
    assert (listed["is_active"], listed["is_valid"]) == (False, False)


@pytest.mark.parametrize(
    ("scopes", "reading", "writing"),
    [
        (["admin"], "200", "200"),
        (["read"], "200", "403 scope_required"),
        (["metrics"], "403 scope_required", "403 scope_required"),
        (["metrics", "read"], "200", "403 scope_required"),
    ],
)
def test_scopes_bound_what_an_application_token_may_do(client, services, scopes, reading, writing):
    headers = bearer(services.tokens.applications.create("x", scopes=scopes)[1])

    def found(answer):
        return " ".join([str(answer.status_code), *filter(None, [answer.json.get("code")])])

    assert found(client.get(SETTINGS, headers=headers)) == reading
    assert found(client.patch(SETTINGS, json={}, headers=headers)) == writing


def test_an_application_token_is_changed(client, admin, services):
    token, value = services.tokens.applications.create("old", description="text")
    path = f"{TOKENS}/{token.id}"

    def change(**body):
        return client.patch(path, json=body, headers=admin.headers).json

    assert change(name="new", description=None)["description"] == "text"
    assert change(description="")["description"] is None
    assert change(scopes=["metrics", "admin"])["scopes"] == ["admin", "metrics"]
    assert change(is_active=False)["is_valid"] is False
    assert client.get(USERS, headers=bearer(value)).status_code == 401
    assert change(is_active=True)["is_valid"] is True
    assert client.get(USERS, headers=bearer(value)).status_code == 200


@pytest.mark.parametrize(
    ("body", "loc", "fault"),
    [
        ({}, ["name"], "required"),
        ({"name": ""}, ["name"], "too_short"),
        ({"name": "x" * 201}, ["name"], "too_long"),
        ({"name": "x", "description": "x" * 501}, ["description"], "too_long"),
        ({"name": "x", "expires_days": 0}, ["expires_days"], "too_small"),
        ({"name": "x", "expires_days": 3651}, ["expires_days"], "too_large"),
        ({"name": "x", "scopes": []}, ["scopes"], "too_short"),
        ({"name": "x", "scopes": ["root"]}, ["scopes", 0], "not_allowed"),
        ({"name": "x", "scopes": "admin"}, ["scopes"], "invalid_type"),
        ({"name": "x", "user_id": None}, ["user_id"], "unknown_field"),
    ],
)
def test_a_bad_application_token_is_refused(client, admin, body, loc, fault):
    answer = client.post(TOKENS, json=body, headers=admin.headers)

    assert fault_of(answer) == (["body", *loc], fault)


def test_an_application_token_that_does_not_exist_is_not_found(client, admin):
    for method in ("PATCH", "DELETE"):
        answer = client.open(f"{TOKENS}/{uuid4()}", method=method, json={}, headers=admin.headers)
        assert outcome(answer) == (404, "not_found")


def test_the_document_has_the_names_that_clients_are_generated_from(client):
    document = client.get("/openapi.json").json
    components = document["components"]["schemas"]

    for name in (
        "RegisterRequest",
        "RegisterResponse",
        "LoginRequest",
        "LoginResponse",
        "SetupStatusResponse",
        "InstanceInfoResponse",
        "PasswordResetRequest",
        "PasswordResetRequestResponse",
        "PasswordResetConfirm",
        "PasswordResetConfirmResponse",
        "LogoutResponse",
        "PortalConfigResponse",
        "UserCreate",
        "UserUpdate",
        "UserListResponse",
        "InstanceSettingsResponse",
        "InstanceSettingsUpdate",
        "ApplicationTokenInfo",
        "ApplicationTokenListResponse",
        "ApplicationTokenCreate",
        "ApplicationTokenCreateResponse",
        "ApplicationTokenUpdate",
        "tinybase__api__routes__auth__UserInfo",
        "tinybase__api__routes__admin__UserInfo",
    ):
        assert name in components
    assert components["RegisterRequest"]["properties"]["email"]["format"] == "email"
    assert components["RegisterRequest"]["properties"]["password"]["minLength"] == 8
