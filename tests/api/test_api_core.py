"""What holds for every endpoint: errors, levels, queries, bodies, headers."""

from __future__ import annotations

import logging

import pytest

THING = "0190b6c2-0000-7000-8000-00000000000a"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def is_error_body(answer) -> bool:
    body = answer.json
    if not {"detail", "code", "request_id"} <= body.keys():
        return False
    if answer.status_code == 422:
        return all(item.keys() == {"loc", "msg", "type"} for item in body["detail"])
    return isinstance(body["detail"], str)


class TestEveryError:
    @pytest.mark.parametrize(
        ("method", "path", "status", "code"),
        [
            ("GET", "/nowhere", 404, "not_found"),
            ("GET", "/api/nowhere", 404, "not_found"),
            ("DELETE", "/api/things", 405, "method_not_allowed"),
            ("BREW", "/api/things", 405, "method_not_allowed"),
            ("GET", "/api/things?limit=0", 422, "validation_error"),
            ("GET", "/api/things?offset=10000001", 422, "validation_error"),
            ("GET", "/api/things?lmit=1", 400, "unknown_parameter"),
            ("GET", "/api/things/not-a-uuid", 422, "validation_error"),
            ("GET", "/api/a%00b", 404, "not_found"),
            ("GET", "/api/things?name=" + "x" * 9000, 414, "uri_too_long"),
            ("POST", "/api/things", 422, "validation_error"),
        ],
    )
    def test_has_the_one_shape(self, tiny, method, path, status, code):
        answer = tiny.open(path, method=method)

        assert answer.status_code == status
        assert answer.json["code"] == code
        assert is_error_body(answer)
        assert answer.json["request_id"] == answer.headers["X-Request-Id"]

    def test_that_nobody_foresaw_is_logged_and_not_shown(self, tiny, caplog):
        answer = tiny.get("/api/broken", headers={"X-Request-Id": "find-me"})

        assert answer.status_code == 500
        assert answer.json["code"] == "internal_error"
        assert b"secret" not in answer.data
        assert "find-me" in caplog.text
        assert "secret of the server" in caplog.text
        assert caplog.records[-1].levelno == logging.ERROR

    def test_of_a_wrong_method_names_the_right_ones(self, tiny):
        answer = tiny.put("/api/things", data="{}")

        assert set(answer.headers["Allow"].split(", ")) == {
            *("GET", "HEAD", "POST", "PATCH", "OPTIONS")
        }

    def test_of_a_long_header_is_431(self, tiny):
        answer = tiny.get("/api/things", headers={"X-Long": "x" * 17_000})

        assert answer.status_code == 431
        assert answer.json["code"] == "headers_too_large"

    def test_never_says_a_submitted_value_back(self, tiny):
        answer = tiny.post("/api/things", json={"name": "canary-canary", "count": "canary"})

        assert answer.status_code == 422
        assert b"canary" not in answer.data

    def test_says_a_long_unknown_key_back_only_in_part(self, tiny):
        answer = tiny.post("/api/things", json={"k" * 10_000: 1})

        assert len(answer.data) < 1_000


class TestEveryAddress:
    def test_tolerates_a_trailing_slash(self, tiny):
        assert tiny.get("/api/things/").status_code == 200
        assert tiny.post("/api/things/", json={"name": "ann"}).status_code == 200

    def test_never_redirects(self, tiny):
        assert tiny.get("/api//things").status_code == 404

    def test_answers_head_where_get_is(self, tiny):
        answer = tiny.head("/api/things")

        assert answer.status_code == 200
        assert answer.data == b""

    def test_answers_options_with_its_methods(self, tiny):
        answer = tiny.options("/api/things")

        assert answer.status_code == 204
        assert "PATCH" in answer.headers["Allow"]
        assert "Content-Type" not in answer.headers

    def test_ignores_headers_that_override_the_method(self, tiny):
        answer = tiny.post("/api/things", json={}, headers={"X-HTTP-Method-Override": "GET"})

        assert answer.status_code == 422

    def test_takes_a_uuid_in_either_case(self, tiny):
        answer = tiny.get(f"/api/things/{THING.upper()}")

        assert answer.json["path"] == {"thing_id": THING}

    @pytest.mark.parametrize("text", ["{" + THING + "}", f"urn:uuid:{THING}", THING[:-1], "1"])
    def test_takes_a_uuid_in_no_other_spelling(self, tiny, text):
        answer = tiny.get(f"/api/things/{text}")

        assert answer.json["detail"][0] == {
            "loc": ["path", "thing_id"],
            "msg": "Not a valid UUID.",
            "type": "invalid_uuid",
        }


class TestRequestId:
    def test_of_the_client_is_kept(self, tiny):
        answer = tiny.get("/api/things", headers={"X-Request-Id": "My.id_1-2"})

        assert answer.headers["X-Request-Id"] == "My.id_1-2"

    @pytest.mark.parametrize("given", ["", "x" * 65, "a b", "a/b", "é"])
    def test_that_is_odd_is_replaced(self, tiny, given):
        answer = tiny.get("/api/things", headers={"X-Request-Id": given.encode().decode("latin-1")})

        assert len(answer.headers["X-Request-Id"]) == 36


class TestLevels:
    @pytest.mark.parametrize(
        ("who", "token", "get", "post"),
        [
            ("public", None, 200, 200),
            ("public", "nonsense", 200, 200),
            ("open", None, 200, 200),
            ("open", "nonsense", "invalid_token", "invalid_token"),
            ("open", "user", 200, 200),
            ("open", "reader", 200, "scope_required"),
            ("open", "metrics", "scope_required", "scope_required"),
            ("rule", None, 200, 200),
            ("rule", "nonsense", "invalid_token", "invalid_token"),
            ("rule", "application", 200, 200),
            ("rule", "reader", 200, "scope_required"),
            ("function", None, 200, 200),
            ("function", "reader", 200, "scope_required"),
            ("user", None, "not_authenticated", "not_authenticated"),
            ("user", "nonsense", "invalid_token", "invalid_token"),
            ("user", "user", 200, 200),
            ("user", "admin", 200, 200),
            ("user", "application", "user_required", "user_required"),
            ("admin", None, "not_authenticated", "not_authenticated"),
            ("admin", "user", "admin_required", "admin_required"),
            ("admin", "admin", 200, 200),
            ("admin", "application", 200, 200),
            ("admin", "reader", 200, "scope_required"),
            ("admin", "metrics", "scope_required", "scope_required"),
            ("admin_user", None, "not_authenticated", "not_authenticated"),
            ("admin_user", "user", "admin_required", "admin_required"),
            ("admin_user", "admin", 200, 200),
            ("admin_user", "application", "user_required", "user_required"),
        ],
    )
    def test_admit_whom_they_should(self, tiny, who, token, get, post):
        headers = bearer(token) if token else {}

        for method, expected in {"GET": get, "HEAD": get, "POST": post}.items():
            answer = tiny.open(f"/api/{who}", method=method, headers=headers)
            if expected == 200 or method == "HEAD":
                assert (answer.status_code == 200) == (expected == 200)
            else:
                assert answer.json["code"] == expected

    def test_let_a_token_that_may_read_see_what_an_admin_sees(self, tiny):
        answer = tiny.get("/api/rule", headers=bearer("reader"))

        assert answer.json["is_admin"] is True

    @pytest.mark.parametrize("header", ["Basic dXNlcjp4", "Token user", "user", "Bearer", ""])
    def test_take_another_scheme_for_no_token(self, tiny, header):
        answer = tiny.get("/api/open", headers={"Authorization": header})

        assert answer.json["actor"] == "anonymous"

    @pytest.mark.parametrize("header", ["bearer user", "BEARER user", "Bearer  user"])
    def test_know_the_scheme_in_any_case(self, tiny, header):
        answer = tiny.get("/api/open", headers={"Authorization": header})

        assert answer.json["actor"] == "user"

    @pytest.mark.parametrize(
        ("token", "challenge"), [(None, "Bearer"), ("bad", 'Bearer error="invalid_token"')]
    )
    def test_challenge_whom_they_do_not_know(self, tiny, token, challenge):
        answer = tiny.get("/api/user", headers=bearer(token) if token else {})

        assert answer.status_code == 401
        assert answer.headers["WWW-Authenticate"] == challenge


class TestOrderOfChecks:
    def test_the_size_comes_before_the_token(self, tiny):
        answer = tiny.post(
            "/api/user", environ_overrides={"CONTENT_LENGTH": str(2**30)}, data=b"{}"
        )

        assert answer.status_code == 413

    def test_the_caller_comes_before_the_query_and_the_body(self, tiny):
        answer = tiny.post(f"/api/refused/{THING}?unknown=1", data=b"not json")

        assert answer.json["code"] == "forbidden"

    def test_the_query_comes_before_the_body(self, tiny):
        answer = tiny.post("/api/things?unknown=1", data=b"not json")

        assert answer.json["code"] == "unknown_parameter"


class TestQueries:
    def test_read_texts_as_what_they_mean(self, tiny):
        answer = tiny.get("/api/things?limit=5&is_new=YES&tag=a&tag=b")

        assert answer.json["query"] == {
            "limit": "5",
            "offset": "0",
            "is_new": "True",
            "tag": "['a', 'b']",
        }

    @pytest.mark.parametrize("text", ["true", "1", "yes", "on", "TRUE", "Yes", "oN"])
    def test_know_every_spelling_of_true(self, tiny, text):
        assert tiny.get(f"/api/things?is_new={text}").json["query"]["is_new"] == "True"

    @pytest.mark.parametrize("text", ["false", "0", "no", "off", "FALSE", "oFF"])
    def test_know_every_spelling_of_false(self, tiny, text):
        assert tiny.get(f"/api/things?is_new={text}").json["query"]["is_new"] == "False"

    @pytest.mark.parametrize(
        "query",
        [
            *("is_new=maybe", "is_new=", "limit=", "limit=1.5", "limit=x", "limit=1e2"),
            *("limit=1001", "limit=99999999999999999999999", "limit=%D9%A1", "offset=-1"),
            *("name=%00", "name=%ff", "name=%ed%a0%80", "x%00y=1"),
        ],
    )
    def test_with_a_bad_value_are_not_valid(self, tiny, query):
        answer = tiny.get(f"/api/things?{query}")

        assert answer.status_code == 422
        assert answer.json["detail"][0]["loc"][0] == "query"

    def test_name_the_unknown_key_and_the_nearest_known_one(self, tiny):
        answer = tiny.get("/api/things?limt=5")

        assert answer.json["code"] == "unknown_parameter"
        assert "limt" in answer.json["detail"]
        assert "limit" in answer.json["detail"]

    @pytest.mark.parametrize("query", ["limit=1&limit=2", "limit=1&limit=1", "name=&name="])
    def test_that_give_one_value_twice_are_refused(self, tiny, query):
        assert tiny.get(f"/api/things?{query}").json["code"] == "duplicate_parameter"

    def test_are_looked_at_even_where_there_is_nothing_to_ask(self, tiny):
        assert tiny.get("/api/empty?x=1").json["code"] == "unknown_parameter"

    def test_page_by_limit_and_offset(self, tiny):
        answer = tiny.get("/api/pages?limit=3&offset=6")

        assert answer.json == {"things": [{"name": "one"}], "total": 7, "limit": 3, "offset": 6}


class TestBodies:
    @pytest.mark.parametrize(
        ("body", "faults"),
        [
            ({}, {"name": "required"}),
            ({"name": None}, {"name": "null"}),
            ({"name": 1}, {"name": "invalid_type"}),
            ({"name": True}, {"name": "invalid_type"}),
            ({"name": ["ann"]}, {"name": "invalid_type"}),
            ({"name": {}}, {"name": "invalid_type"}),
            ({"name": "a"}, {"name": "too_short"}),
            ({"name": "annann"}, {"name": "too_long"}),
            ({"name": "ann", "count": "1"}, {"count": "invalid_type"}),
            ({"name": "ann", "count": 1.5}, {"count": "invalid_type"}),
            ({"name": "ann", "count": True}, {"count": "invalid_type"}),
            ({"name": "ann", "count": 0}, {"count": "too_small"}),
            ({"name": "ann", "count": 11}, {"count": "too_large"}),
            ({"name": "ann", "price": "1"}, {"price": "invalid_type"}),
            ({"name": "ann", "price": False}, {"price": "invalid_type"}),
            ({"name": "ann", "price": -0.5}, {"price": "too_small"}),
            ({"name": "ann", "is_new": "true"}, {"is_new": "invalid_type"}),
            ({"name": "ann", "is_new": 1}, {"is_new": "invalid_type"}),
            ({"name": "ann", "owner": "1"}, {"owner": "invalid_uuid"}),
            ({"name": "ann", "owner": 1}, {"owner": "invalid_uuid"}),
            ({"name": "ann", "seen_at": "yesterday"}, {"seen_at": "invalid_time"}),
            ({"name": "ann", "seen_at": 5}, {"seen_at": "invalid_time"}),
            (
                {"name": "ann", "seen_at": "0001-01-01T00:00:00+14:00"},
                {"seen_at": "invalid_time"},
            ),
            ({"name": "ann", "kind": "c"}, {"kind": "not_allowed"}),
            ({"name": "ann", "tags": "a"}, {"tags": "invalid_type"}),
            ({"name": "ann", "tags": ["a", "b", "c"]}, {"tags": "too_long"}),
            ({"name": "ann", "nmae": 1}, {"nmae": "unknown_field"}),
            ({"name": "a", "count": 0, "x": 1}, {"name": "too_short"}),
        ],
    )
    def test_that_do_not_fit_name_every_fault(self, tiny, body, faults):
        answer = tiny.post("/api/things", json=body)

        assert answer.status_code == 422
        found = {item["loc"][1]: item["type"] for item in answer.json["detail"]}
        assert faults.items() <= found.items()

    def test_tell_the_place_inside_a_list(self, tiny):
        answer = tiny.post("/api/things", json={"name": "ann", "tags": ["a", 1]})

        assert answer.json["detail"][0]["loc"] == ["body", "tags", 1]

    def test_that_fit_arrive_as_values(self, tiny):
        body = {
            "name": "ann",
            "count": 3,
            "owner": THING.upper(),
            "seen_at": "2026-01-31T13:00:00+01:00",
        }

        answer = tiny.post("/api/things", json=body)

        assert answer.json["body"] == {
            "name": "ann",
            "count": 3,
            "owner": THING,
            "seen_at": "2026-01-31T12:00:00.000000Z",
        }

    def test_take_a_whole_number_in_any_spelling(self, tiny):
        answer = tiny.post("/api/things", data=b'{"name": "ann", "count": 3.0}')

        assert answer.json["body"]["count"] == 3

    def test_take_a_time_without_a_zone_for_utc(self, tiny):
        answer = tiny.post("/api/things", json={"name": "ann", "seen_at": "2026-01-31T12:00:00"})

        assert answer.json["body"]["seen_at"] == "2026-01-31T12:00:00.000000Z"

    def test_of_a_patch_take_null_for_absent(self, tiny):
        assert tiny.patch("/api/things", json={"name": None, "count": 4}).json["body"] == {
            "count": 4
        }

    def test_of_a_patch_know_their_keys(self, tiny):
        assert tiny.patch("/api/things", json={"x": None}).status_code == 422


class TestAnswers:
    def test_are_json(self, tiny):
        answer = tiny.get("/api/things")

        assert answer.headers["Content-Type"] == "application/json; charset=utf-8"

    def test_may_be_ready_made(self, tiny):
        assert tiny.get("/api/bytes").data == b'{"ready": true}'

    def test_may_be_empty_and_have_headers(self, tiny):
        answer = tiny.get("/api/empty")

        assert answer.status_code == 204
        assert answer.data == b""
        assert "Content-Type" not in answer.headers
        assert answer.headers["X-Total-Count"] == "0"

    @pytest.mark.parametrize("path", ["/api/things", "/api/nowhere", "/api/broken"])
    def test_have_the_headers_of_every_answer(self, tiny, path, quiet):
        headers = tiny.get(path).headers

        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "private, no-cache"
        assert headers["Vary"] == "Authorization"
        assert "Set-Cookie" not in headers

    @pytest.mark.parametrize("path", ["/api/auth/me", "/api/admin/users"])
    def test_about_secrets_are_not_stored(self, tiny, path):
        assert tiny.get(path).headers["Cache-Control"] == "no-store"


class TestRateLimits:
    def test_count_the_address_and_tell_what_is_left(self, tiny, limits):
        limits.most["login"] = 2

        answers = [tiny.post("/api/limited") for _ in range(3)]

        assert [answer.status_code for answer in answers] == [200, 200, 429]
        assert [answer.headers["X-RateLimit-Remaining"] for answer in answers] == ["1", "0", "0"]
        assert answers[2].headers["Retry-After"] == "7"
        assert is_error_body(answers[2])

    def test_count_everything_else_by_caller(self, tiny, limits):
        limits.most.update(authenticated=9, anonymous=9)

        tiny.get("/api/open", headers=bearer("user"))
        tiny.get("/api/open")
        tiny.get("/api/open", headers=bearer("guess"))

        assert [name for name, _ in limits.seen] == ["authenticated", "anonymous", "anonymous"]
        assert limits.seen[1][1] == "127.0.0.1"


class TestAddresses:
    @pytest.mark.parametrize(
        ("forwarded", "address"),
        [
            (None, "10.0.0.2"),
            ("203.0.113.9", "203.0.113.9"),
            ("6.6.6.6, 203.0.113.9", "203.0.113.9"),
            ("6.6.6.6, 203.0.113.9, 10.0.0.3", "203.0.113.9"),
            ("6.6.6.6, nonsense", "10.0.0.2"),
            ("2001:db8::1", "2001:db8::1"),
            ("", "10.0.0.2"),
        ],
    )
    def test_behind_a_trusted_proxy_are_what_it_says(self, make_tiny, forwarded, address):
        tiny = make_tiny(TINYBASE_SERVER_TRUSTED_PROXIES="10.0.0.0/8")
        headers = {"X-Forwarded-For": forwarded} if forwarded is not None else {}

        answer = tiny.get(
            "/api/things", headers=headers, environ_overrides={"REMOTE_ADDR": "10.0.0.2"}
        )

        assert answer.json["address"] == address

    def test_of_strangers_are_not_what_they_say(self, make_tiny):
        for tiny in (make_tiny(), make_tiny(TINYBASE_SERVER_TRUSTED_PROXIES="10.0.0.1")):
            answer = tiny.get("/api/things", headers={"X-Forwarded-For": "1.2.3.4"})
            assert answer.json["address"] == "127.0.0.1"


class TestCors:
    ORIGIN = "https://app.example.com"

    def test_is_off_by_default(self, tiny):
        answer = tiny.get("/api/things", headers={"Origin": self.ORIGIN})

        assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]

    def test_lets_pages_of_named_origins_read(self, make_tiny):
        tiny = make_tiny(TINYBASE_CORS_ALLOW_ORIGINS=self.ORIGIN)

        headers = tiny.get("/api/things", headers={"Origin": self.ORIGIN}).headers

        assert headers["Access-Control-Allow-Origin"] == self.ORIGIN
        assert "Access-Control-Allow-Credentials" not in headers
        assert "ETag" in headers["Access-Control-Expose-Headers"]
        assert {part.strip() for part in headers["Vary"].split(",")} == {"Authorization", "Origin"}

    def test_answers_a_preflight(self, make_tiny):
        tiny = make_tiny(TINYBASE_CORS_ALLOW_ORIGINS=self.ORIGIN)

        answer = tiny.options(
            "/api/things",
            headers={"Origin": self.ORIGIN, "Access-Control-Request-Method": "PATCH"},
        )

        assert answer.status_code == 204
        assert "PATCH" in answer.headers["Access-Control-Allow-Methods"]
        assert "Authorization" in answer.headers["Access-Control-Allow-Headers"]

    @pytest.mark.parametrize("origin", ["https://evil.example.com", "null", None])
    def test_tells_other_origins_nothing(self, make_tiny, origin):
        tiny = make_tiny(TINYBASE_CORS_ALLOW_ORIGINS=self.ORIGIN)

        answer = tiny.get("/api/things", headers={"Origin": origin} if origin else {})

        assert "Access-Control-Allow-Origin" not in answer.headers

    def test_may_be_open_to_all(self, make_tiny):
        tiny = make_tiny(TINYBASE_CORS_ALLOW_ORIGINS="*")

        answer = tiny.get("/api/things", headers={"Origin": self.ORIGIN})

        assert answer.headers["Access-Control-Allow-Origin"] == "*"
