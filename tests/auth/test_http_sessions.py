"""Registering, signing in and out, as a client sees it."""

import itertools
import threading

import pytest

PASSWORD = "correct horse battery staple"
JSON_VALUES = [None, True, 7, 1.5, [], ["a"], {}, {"$ne": ""}]


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def post(client, path, body=None, **options):
    return client.post(f"/api/auth/{path}", json=body, **options)


def login(client, email, password=PASSWORD):
    return post(client, "login", {"email": email, "password": password})


def faults(answer):
    assert answer.status_code == 422, answer.json
    return [(fault["loc"], fault["type"]) for fault in answer.json["detail"]]


@pytest.fixture
def limited(make_app):
    """Return a client of an application whose limits are on."""
    return make_app(TINYBASE_RATE_LIMIT_ENABLED="true").test_client()


def test_registering_answers_with_the_account(client):
    answer = post(client, "register", {"email": "Ann@EXAMPLE.com", "password": PASSWORD})

    assert answer.status_code == 201
    assert set(answer.json) == {"id", "email", "message", "is_admin", "created_at"}
    assert answer.json["email"] == "Ann@example.com"
    assert answer.json["message"] == "User registered"
    assert answer.json["is_admin"] is False
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("password", ["testpassword123", "adminpassword123", "userpass1234"])
def test_ordinary_passwords_of_test_suites_are_accepted(client, password):
    answer = post(client, "register", {"email": "ann@test.com", "password": password})

    assert answer.status_code == 201


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, [(["body", "email"], "required"), (["body", "password"], "required")]),
        (
            {"email": "ann", "password": "short"},
            [(["body", "email"], "invalid_email"), (["body", "password"], "too_short")],
        ),
        (
            {"email": "ann@example.com", "password": "password123"},
            [(["body", "password"], "too_common")],
        ),
        (
            {"email": "ann@example.com", "password": "x" * 1025},
            [(["body", "password"], "too_long")],
        ),
    ],
)
def test_a_bad_registration_is_told_what_is_wrong(client, body, expected):
    assert faults(post(client, "register", body)) == expected


@pytest.mark.parametrize("key", ["is_admin", "id", "is_active", "password_hash", "IS_ADMIN"])
def test_nobody_chooses_more_than_address_and_password(client, key):
    body = {"email": "ann@example.com", "password": PASSWORD, key: True}

    assert faults(post(client, "register", body)) == [(["body", key], "unknown_field")]


def test_a_second_account_with_one_address_is_refused(client, user):
    answer = post(client, "register", {"email": user.email.upper(), "password": PASSWORD})

    assert answer.status_code == 400
    assert answer.json["code"] == "email_taken"


def test_of_thirty_registrations_at_once_one_succeeds(app):
    statuses = []

    def register():
        body = {"email": "ann@example.com", "password": PASSWORD}
        statuses.append(post(app.test_client(), "register", body).status_code)

    threads = [threading.Thread(target=register) for _ in range(30)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(statuses) == [201] + [400] * 29


def test_registration_that_is_disabled_is_refused_before_anything_else(client, services):
    services.settings.update({"allow_public_registration": False})

    answer = client.post("/api/auth/register", data="no json")

    assert answer.status_code == 403
    assert answer.json["code"] == "registration_disabled"
    assert "disabled" in answer.json["detail"]


def test_a_login_answers_with_tokens_and_whose_they_are(client, user):
    answer = login(client, user.email)

    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.json["access_token"].startswith("tba_")
    assert answer.json["refresh_token"].startswith("tbr_")
    assert {key: answer.json[key] for key in list(answer.json)[2:]} == {
        "token_type": "bearer",
        "expires_in": 86400,
        "user_id": str(user.id),
        "email": user.email,
        "is_admin": False,
        "admin_created": False,
    }


def test_unknown_wrong_and_disabled_get_one_answer(client, services, make_user):
    known, disabled = make_user(), make_user()
    services.users.update(disabled.id, is_active=False)

    answers = [
        login(client, known.email, "wrong horse battery staple"),
        login(client, disabled.email),
        login(client, "nobody@example.com"),
        login(client, "no address"),
    ]

    assert {answer.status_code for answer in answers} == {401}
    bodies = [{**answer.json, "request_id": None} for answer in answers]
    assert bodies == [bodies[0]] * 4
    assert bodies[0]["code"] == "invalid_credentials"
    assert {answer.headers["WWW-Authenticate"] for answer in answers} == {"Bearer"}


def test_no_request_makes_an_admin_on_an_empty_instance(client, services):
    plain = {"email": "root@example.com", "password": PASSWORD}
    eager = {**plain, "is_admin": True}

    assert login(client, plain["email"]).status_code == 401
    assert post(client, "login", eager).status_code == 422
    assert client.post("/api/admin/users", json=eager).status_code == 401
    assert post(client, "register", eager).status_code == 422
    assert post(client, "register", plain).status_code == 201
    session = login(client, plain["email"]).json
    assert (session["is_admin"], session["admin_created"]) == (False, False)
    headers = bearer(session["access_token"])
    promote = {"is_admin": True, "current_password": PASSWORD}
    own = f"/api/admin/users/{session['user_id']}"
    assert client.patch(own, json=promote, headers=headers).status_code == 403
    assert client.patch("/api/auth/me", json=promote, headers=headers).status_code == 422
    assert client.post("/api/admin/users", json=eager, headers=headers).status_code == 403
    assert services.users.list(is_admin=True)[1] == 0


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("register", {"email": "ann@example.com", "password": PASSWORD}),
        ("login", {"email": "ann@example.com", "password": PASSWORD}),
        ("refresh", {"refresh_token": "tbr_"}),
        ("password-reset/request", {"email": "ann@example.com"}),
        ("password-reset/confirm", {"token": "tbp_", "password": PASSWORD}),
    ],
)
def test_what_is_no_text_is_refused_wherever_a_text_is_due(client, path, body):
    for key, value in itertools.product(body, JSON_VALUES):
        expected = "null" if value is None else "invalid_type"
        assert faults(post(client, path, {**body, key: value})) == [(["body", key], expected)]


# Refreshing


@pytest.mark.parametrize("way", ["header", "body", "body before header"])
def test_a_refresh_token_may_come_in_the_header_or_the_body(client, user, way):
    token = login(client, user.email).json["refresh_token"]
    options = {
        "header": {"headers": bearer(token)},
        "body": {"json": {"refresh_token": token}},
        "body before header": {"json": {"refresh_token": token}, "headers": bearer("nonsense")},
    }[way]

    answer = client.post("/api/auth/refresh", **options)

    assert answer.status_code == 200
    assert answer.json["user_id"] == str(user.id)
    me = client.get("/api/auth/me", headers=bearer(answer.json["access_token"]))
    assert me.json["email"] == user.email


def test_a_refresh_without_token_is_not_authenticated(client):
    for options in ({}, {"json": {}}, {"headers": {"Authorization": "Basic eDp5"}}):
        answer = client.post("/api/auth/refresh", **options)
        assert (answer.status_code, answer.json["code"]) == (401, "not_authenticated")


def test_a_refresh_token_that_is_used_twice_ends_the_session(client, user):
    first = login(client, user.email).json
    second = post(client, "refresh", {"refresh_token": first["refresh_token"]}).json

    answer = post(client, "refresh", {"refresh_token": first["refresh_token"]})

    assert (answer.status_code, answer.json["code"]) == (401, "token_reused")
    assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert client.get("/api/auth/me", headers=bearer(second["access_token"])).status_code == 401
    answer = post(client, "refresh", {"refresh_token": second["refresh_token"]})
    assert (answer.status_code, answer.json["code"]) == (401, "invalid_token")


# Every kind of token at every kind of door


@pytest.fixture
def tokens(make_app):
    """Return a client and one token of each kind, all of an admin."""
    app = make_app(TINYBASE_MAIL_URL="file:outbox")
    client, services = app.test_client(), app.extensions["tinybase"]
    services.users.create("root@example.com", PASSWORD, is_admin=True)
    session = login(client, "root@example.com").json
    _, application = services.tokens.applications.create("all", scopes=["admin"])
    post(client, "password-reset/request", {"email": "root@example.com"})
    services.tokens.close()
    (mail,) = (services.config.instance / "outbox").glob("*.eml")
    reset = "tbp_" + mail.read_text().partition("/auth/password-reset/tbp_")[2].split()[0]
    return client, {
        "none": None,
        "access": session["access_token"],
        "refresh": session["refresh_token"],
        "application": application,
        "reset": reset,
        "unknown": "tba_" + "x" * 43,
    }


DOORS = {
    "GET /api/auth/instance-info": "public",
    "GET /api/auth/setup-status": "public",
    "GET /api/auth/portal-config": "public",
    "GET /api/functions": "open",
    "GET /api/admin/users": "admin",
    "GET /api/admin/settings": "admin",
    "GET /api/auth/me": "person",
    "GET /api/admin/application-tokens": "person",
    "POST /api/auth/refresh": "refresh",
    "POST /api/auth/password-reset/confirm": "reset",
    "POST /api/auth/logout": "person",
}
NOT_HERE, UNKNOWN = "401 wrong_token_type", "401 invalid_token"
NOBODY, NO_PERSON = "401 not_authenticated", "403 user_required"
NO_RESET = "400 invalid_reset_token"
OUTCOMES = {
    # the kind of token: what it meets at a door of each kind
    "none": ("200", "200", NOBODY, NOBODY, NOBODY, NO_RESET),
    "access": ("200", "200", "200", "200", NOT_HERE, NO_RESET),
    "refresh": ("200", NOT_HERE, NOT_HERE, NOT_HERE, "200", NO_RESET),
    "application": ("200", "200", "200", NO_PERSON, NOT_HERE, NO_RESET),
    "reset": ("200", NOT_HERE, NOT_HERE, NOT_HERE, NOT_HERE, "200"),
    "unknown": ("200", UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, NO_RESET),
}


KINDS_OF_DOORS = ("public", "open", "admin", "person", "refresh", "reset")


@pytest.mark.parametrize("kind", OUTCOMES)
def test_tokens_are_not_interchangeable(tokens, kind):
    client, values = tokens
    token = values[kind]
    confirm = {"token": token or "", "password": "another horse battery"}
    for door, kind_of_door in DOORS.items():
        method, path = door.split()
        answer = client.open(
            path,
            method=method,
            headers=bearer(token) if token else {},
            json=confirm if kind_of_door == "reset" else None,
        )
        found = str(answer.status_code)
        if answer.status_code >= 400:
            found += f" {answer.json['code']}"
        assert found == OUTCOMES[kind][KINDS_OF_DOORS.index(kind_of_door)], door


# Signing out


def test_logging_out_ends_all_sessions(client, user):
    other = login(client, user.email).json

    answer = client.post("/api/auth/logout", headers=user.headers)

    assert answer.status_code == 200
    assert answer.json == {"message": "Logged out (4 tokens revoked)"}
    for token in (user.token, other["access_token"]):
        answer = client.get("/api/auth/me", headers=bearer(token))
        assert (answer.status_code, answer.json["code"]) == (401, "invalid_token")


def test_logging_out_may_end_one_session(client, user):
    other = login(client, user.email).json

    answer = client.post("/api/auth/logout?scope=session", headers=user.headers, data="ignored")

    assert answer.json == {"message": "Logged out (2 tokens revoked)"}
    assert client.get("/api/auth/me", headers=bearer(other["access_token"])).status_code == 200
    assert client.get("/api/auth/me", headers=user.headers).status_code == 401


def test_the_scope_of_a_logout_is_checked(client, user):
    answer = client.post("/api/auth/logout?scope=everything", headers=user.headers)

    assert faults(answer) == [(["query", "scope"], "not_allowed")]


# The signed-in user


def test_me_is_who_the_token_says(client, user):
    answer = client.get("/api/auth/me", headers=user.headers)

    assert answer.status_code == 200
    assert list(answer.json) == [
        "id",
        "email",
        "is_admin",
        "is_active",
        "created_at",
        "updated_at",
        "claims",
    ]
    assert (answer.json["id"], answer.json["email"]) == (str(user.id), user.email)


def test_users_change_their_address_with_the_current_password(client, user):
    def change(**body):
        return client.patch("/api/auth/me", json=body, headers=user.headers)

    assert faults(change(email="new@example.com"))[0][0] == ["body", "current_password"]
    wrong = change(email="new@example.com", current_password="wrong")
    assert (wrong.status_code, wrong.json["code"]) == (400, "wrong_password")
    right = change(email="new@example.com", current_password=PASSWORD)
    assert (right.status_code, right.json["email"]) == (200, "new@example.com")
    assert change().json == right.json
    assert change(email=None, password=None).json == right.json
    assert client.get("/api/auth/me", headers=user.headers).status_code == 200


def test_a_new_password_of_ones_own_ends_every_session(client, user):
    body = {"password": "another horse battery", "current_password": PASSWORD}

    answer = client.patch("/api/auth/me", json=body, headers=user.headers)

    assert answer.status_code == 200
    assert client.get("/api/auth/me", headers=user.headers).status_code == 401
    assert login(client, user.email).status_code == 401
    assert login(client, user.email, "another horse battery").status_code == 200


# Password resets


def test_a_password_is_reset_by_mail(make_app):
    app = make_app(TINYBASE_MAIL_URL="file:outbox", TINYBASE_SERVER_PUBLIC_URL="https://a.example")
    client, services = app.test_client(), app.extensions["tinybase"]
    services.users.create("ann@example.com", PASSWORD)
    answers = [
        post(client, "password-reset/request", {"email": email}, headers={"Host": "evil.example"})
        for email in ("ann@example.com", "nobody@example.com", "no address")
    ]
    services.tokens.close()
    (mail,) = (services.config.instance / "outbox").glob("*.eml")
    link = next(line for line in mail.read_text().splitlines() if line.startswith("http"))
    start, _, token = link.rpartition("/")

    assert {(answer.status_code, answer.json["message"]) for answer in answers} == {
        (200, "If the address is known, a link was sent")
    }
    assert start == "https://a.example/auth/password-reset"
    confirm = {"token": token, "password": "another horse battery"}
    answer = post(client, "password-reset/confirm", confirm)
    assert (answer.status_code, answer.json) == (200, {"message": "Password changed"})
    assert login(client, "ann@example.com", "another horse battery").status_code == 200
    again = post(client, "password-reset/confirm", confirm)
    assert (again.status_code, again.json["code"]) == (400, "invalid_reset_token")


def test_a_short_password_is_refused_before_the_token_is_looked_at(client):
    answer = post(client, "password-reset/confirm", {"token": "bad", "password": "short"})

    assert faults(answer) == [(["body", "password"], "too_short")]


# What the sign-in pages fetch


def test_the_sign_in_pages_get_their_facts_in_spite_of_a_stale_token(client):
    stale = bearer("tba_" + "x" * 43)

    assert client.get("/api/auth/instance-info", headers=stale).json == {
        "instance_name": "TinyBase"
    }
    assert client.get("/api/auth/setup-status", headers=stale).json == {"needs_setup": True}
    assert client.get("/api/auth/portal-config", headers=stale).json == {
        "instance_name": "TinyBase",
        "logo_url": None,
        "primary_color": None,
        "background_image_url": None,
        "registration_enabled": True,
        "login_redirect_url": None,
        "register_redirect_url": None,
    }


def test_the_setup_ends_with_the_first_user(client, user):
    assert client.get("/api/auth/setup-status").json == {"needs_setup": False}


def test_only_admins_preview_the_portal(client, services, user, admin):
    services.settings.update({"auth_portal_logo_url": "https://a.example/logo.png"})
    _, reader = services.tokens.applications.create("reader", scopes=["read"])
    _, metrics = services.tokens.applications.create("metrics", scopes=["metrics"])
    query = "?preview=true&primary_color=red"

    for headers in ({}, user.headers, bearer("nonsense"), bearer(metrics)):
        answer = client.get(f"/api/auth/portal-config{query}", headers=headers)
        assert (answer.status_code, answer.json["code"]) == (403, "admin_required")
    for headers in (admin.headers, bearer(reader)):
        answer = client.get(f"/api/auth/portal-config{query}", headers=headers)
        assert answer.json["primary_color"] == "red"
        assert answer.json["logo_url"] == "https://a.example/logo.png"
    plain = client.get("/api/auth/portal-config?primary_color=red")
    assert plain.json["primary_color"] is None


# Limits


@pytest.mark.parametrize(
    ("path", "body", "most", "status"),
    [
        ("register", {"email": "x", "password": "x"}, 5, 422),
        ("login", {"email": "x", "password": "x"}, 10, 401),
        ("refresh", {"refresh_token": "x"}, 20, 401),
        ("password-reset/request", {"email": "x"}, 5, 200),
        ("password-reset/confirm", {"token": "x", "password": PASSWORD}, 10, 400),
    ],
)
def test_an_address_may_try_only_so_often(limited, path, body, most, status):
    answers = [post(limited, path, body) for _ in range(most)]
    last = post(limited, path, body, headers={"X-Forwarded-For": "198.51.100.7"})

    assert {answer.status_code for answer in answers} == {status}
    assert answers[0].headers["X-RateLimit-Limit"] == str(most)
    assert answers[0].headers["X-RateLimit-Remaining"] == str(most - 1)
    assert (last.status_code, last.json["code"]) == (429, "rate_limited")
    assert 0 < int(last.headers["Retry-After"]) <= 60
    assert last.headers["X-RateLimit-Remaining"] == "0"
    assert int(last.headers["X-RateLimit-Reset"]) > 0


def test_one_account_is_guessed_ten_times_in_every_spelling(make_app):
    app = make_app(TINYBASE_RATE_LIMIT_ENABLED="true", TINYBASE_SERVER_TRUSTED_PROXIES="127.0.0.1")
    client, services = app.test_client(), app.extensions["tinybase"]
    services.users.create("strasse@example.com", PASSWORD)
    spellings = ("strasse@example.com", "STRASSE@EXAMPLE.COM", "straße@example.com")
    codes = [
        post(
            client,
            "login",
            {"email": spellings[number % 3], "password": "a wild guess"},
            headers={"X-Forwarded-For": f"198.51.100.{number}"},
        ).json["code"]
        for number in range(14)
    ]

    assert codes == ["invalid_credentials"] * 10 + ["rate_limited"] * 4
    body = {"email": "strasse@example.com", "password": PASSWORD}
    locked = post(client, "login", body, headers={"X-Forwarded-For": "198.51.100.200"})
    assert 60 < int(locked.headers["Retry-After"]) <= 900


# Secrets


def test_no_secret_reaches_the_log(client, services, make_user, caplog):
    caplog.set_level("DEBUG")
    secret = "canary-password-in-a-coal-mine"
    post(client, "register", {"email": "ann@example.com", "password": secret})
    session = login(client, "ann@example.com", secret).json
    post(client, "refresh", {"refresh_token": session["refresh_token"]})
    client.patch(
        "/api/auth/me",
        json={"email": "x@example.com", "current_password": secret, "password": secret + "2"},
        headers=bearer(session["access_token"]),
    )
    post(client, "login", {"email": "ann@example.com", "password": [secret]})

    for word in (secret, session["access_token"], session["refresh_token"], "argon2id"):
        assert word not in caplog.text
