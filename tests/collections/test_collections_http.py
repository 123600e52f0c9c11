"""Collections and records as clients see them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

SCHEMA = {
    "fields": [
        {"name": "title", "type": "string", "required": True},
        {"name": "n", "type": "int", "unique": True},
        {"name": "done", "type": "boolean"},
    ]
}
RECORDS = "/api/collections/posts/records"


class Site:
    """An application with an admin and two users."""

    def __init__(self, client: FlaskClient, admin: Any, user: Any, stranger: Any) -> None:
        self.client, self.admin, self.user, self.stranger = client, admin, user, stranger

    def __call__(
        self, method: str, path: str, json: Any = None, *, who: str | None = "admin", **headers: str
    ) -> TestResponse:
        person = getattr(self, who) if who else None
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.client.open(
            path, method=method, json=json, headers={**(person.headers if person else {}), **sent}
        )

    def make(self, name: str = "posts", **options: Any) -> dict[str, Any]:
        made = self(
            "POST", "/api/collections", {"name": name, "schema": SCHEMA, "options": options}
        )
        assert made.status_code == 201, made.text
        return made.json

    def add(self, who: str = "admin", **data: Any) -> dict[str, Any]:
        made = self("POST", RECORDS, data, who=who)
        assert made.status_code == 201, made.text
        return made.json


@dataclass(frozen=True)
class Person:
    """Somebody who is signed in."""

    id: Any
    headers: dict[str, str]


def sign_up(app: Flask, email: str, *, is_admin: bool = False) -> Person:
    services = app.extensions["tinybase"]
    account = services.users.create(email, "testpassword123", is_admin=is_admin)
    login = app.test_client().post(
        "/api/auth/login", json={"email": email, "password": "testpassword123"}
    )
    return Person(account.id, {"Authorization": f"Bearer {login.json['access_token']}"})


@pytest.fixture(scope="module")
def whole_site(start_app):
    """Start one application for the module: hashing passwords takes its time."""
    with start_app() as app:
        people = [sign_up(app, f"{name}@test.com", is_admin=name == "a") for name in "aus"]
        yield Site(app.test_client(), *people)


@pytest.fixture
def site(whole_site):
    """Return the site without any collection."""
    for collection in whole_site("GET", "/api/collections").json:
        whole_site("DELETE", f"/api/collections/{collection['name']}")
    return whole_site


def test_a_collection_is_made_found_changed_and_deleted(site):
    made = site("POST", "/api/collections", {"name": "posts", "schema": SCHEMA, "label": "Blog"})
    assert made.status_code == 201
    assert made.headers["Location"] == "/api/collections/posts"
    assert made.headers["ETag"] == '"1"'
    assert set(made.json) == {
        "id", "name", "label", "schema", "options", "access", "version", "created_at", "updated_at",
    }  # fmt: skip
    assert (made.json["label"], made.json["schema"], made.json["options"]) == ("Blog", SCHEMA, {})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", made.json["created_at"])

    found = site("GET", "/api/collections/posts")
    assert (found.status_code, found.json) == (200, made.json)
    assert site("GET", "/api/collections/posts", If_None_Match='"1"').status_code == 304
    stale = site("PATCH", "/api/collections/posts", {"label": "x"}, If_Match='"7"')
    assert (stale.status_code, stale.json["current_version"]) == (412, 1)
    changed = site("PATCH", "/api/collections/posts", {"label": "x", "schema": None})
    assert (changed.status_code, changed.headers["ETag"]) == (200, '"2"')
    assert (changed.json["label"], changed.json["schema"]) == ("x", SCHEMA)
    gone = site("DELETE", "/api/collections/posts")
    assert (gone.status_code, gone.data) == (204, b"")
    assert site("GET", "/api/collections/posts").status_code == 404
    assert site("DELETE", "/api/collections/posts").status_code == 404


def test_the_list_of_collections_is_a_bare_array_with_a_total(site):
    for name in ("b", "a", "c"):
        site.make(name)
    listed = site("GET", "/api/collections?limit=2&offset=1")
    assert [collection["name"] for collection in listed.json] == ["b", "c"]
    assert listed.headers["X-Total-Count"] == "3"
    assert site("GET", "/api/collections", who=None).json == []
    assert site("GET", "/api/collections?limit=1001").status_code == 422


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"name": "posts", "schema": {}}, 400, "collection_exists"),
        ({"name": "Posts", "schema": {}}, 422, "validation_error"),
        ({"name": "p", "schema": {}, "label": ""}, 422, "validation_error"),
        ({"name": "p"}, 422, "validation_error"),
        ({"name": "p", "schema": {}, "owner": 1}, 422, "validation_error"),
        ({"name": "p", "schema": []}, 422, "validation_error"),
        ({"name": "p", "schema": {"fields": [{"name": "a", "type": "x"}]}}, 422, "invalid_schema"),
        ({"name": "p", "schema": {}, "options": {"x": 1}}, 422, "invalid_schema"),
    ],
)
def test_a_collection_that_cannot_be_made_is_refused(site, body, status, code):
    site.make()
    refused = site("POST", "/api/collections", body)
    assert (refused.status_code, refused.json["code"]) == (status, code)
    assert isinstance(refused.json["detail"], list if status == 422 else str)


def test_only_admins_manage_collections(site):
    site.make()
    requests = [
        ("POST", "/api/collections", {"name": "x", "schema": {}}),
        ("PATCH", "/api/collections/posts", {"label": "x"}),
        ("DELETE", "/api/collections/posts", None),
    ]
    for method, path, body in requests:
        assert site(method, path, body, who="user").status_code == 403
        assert site(method, path, body, who=None).status_code == 401


def test_a_record_lives_through_its_life(site):
    collection = site.make()
    made = site("POST", RECORDS, {"data": {"title": "a", "n": "7"}})
    assert made.status_code == 201
    record = made.json
    assert record == {
        "id": record["id"],
        "collection_id": collection["id"],
        "owner_id": str(site.admin.id),
        "data": {"title": "a", "n": 7, "done": None},
        "version": 1,
        "created_at": record["created_at"],
        "updated_at": record["created_at"],
    }
    path = f"{RECORDS}/{record['id']}"
    assert (made.headers["Location"], made.headers["ETag"]) == (path, '"1"')

    found = site("GET", path)
    assert (found.json, found.headers["ETag"]) == (record, '"1"')
    unchanged = site("GET", path, If_None_Match='W/"1", "9"')
    assert (unchanged.status_code, unchanged.data, unchanged.headers["ETag"]) == (304, b"", '"1"')
    assert site("GET", path, If_None_Match='"2"').status_code == 200
    changed = site("PATCH", path, {"done": True}, If_Match='"1"')
    assert changed.json["data"] == {"title": "a", "n": 7, "done": True}
    assert changed.headers["ETag"] == '"2"'
    assert site("HEAD", path).headers["ETag"] == '"2"'
    gone = site("DELETE", path, If_Match='"2"')
    assert (gone.status_code, gone.data) == (204, b"")
    assert site("GET", path).status_code == 404
    assert site("PATCH", path, {}).status_code == 404
    assert site("DELETE", path).status_code == 404


def test_a_record_can_be_put(site):
    site.make()
    path = f"{RECORDS}/{uuid4()}"
    made = site("PUT", path, {"data": {"title": "a", "n": 1}}, If_None_Match="*")
    assert (made.status_code, made.headers["Location"], made.headers["ETag"]) == (201, path, '"1"')
    put = site("PUT", path, {"title": "b"}, If_Match='"1"')
    assert (put.status_code, put.headers["ETag"]) == (200, '"2"')
    assert put.json["data"] == {"title": "b", "n": None, "done": None}
    assert site("PUT", path, {"title": "b"}, If_None_Match="*").status_code == 412
    assert site("PUT", path, {"title": "b"}, If_None_Match='"1"').json["code"] == "invalid_header"
    assert site("PUT", path, {"n": 1}).json["code"] == "record_invalid"
    assert site("PUT", path, {"title": "b"}, who=None).status_code == 401
    assert site("PUT", path, {"title": "b"}, who="stranger").status_code == 404


@pytest.mark.parametrize(
    ("fields", "body", "stored"),
    [
        (["a"], {"data": {"a": "x"}}, {"a": "x"}),
        (["a"], {"a": "x"}, {"a": "x"}),
        (["a"], {"data": {}}, {"a": None}),
        (["a"], {}, {"a": None}),
        (["data"], {"data": "x"}, {"data": "x"}),
        (["a"], {"data": {"a": "x"}, "id": "y"}, None),
        (["a"], {"data": "x"}, None),
        (["a"], {"data": {"data": {"a": "x"}}}, None),
        (["data"], {"data": {"data": "x"}}, None),
        ([], {"data": {}}, {}),
    ],
)
def test_a_body_is_wrapped_if_it_can_only_be_that(site, fields, body, stored):
    schema = {"fields": [{"name": name} for name in fields]}
    site("POST", "/api/collections", {"name": "posts", "schema": schema})
    made = site("POST", RECORDS, body)
    if stored is None:
        assert (made.status_code, made.json["code"]) == (400, "record_invalid")
        assert {"loc", "msg", "type"} == set(made.json["errors"][0])
    else:
        assert (made.status_code, made.json["data"]) == (201, stored)


def test_invalid_data_is_a_400_with_a_sentence_and_all_faults(site):
    site.make()
    refused = site("POST", RECORDS, {"n": "x", "nope": 1})
    assert (refused.status_code, refused.json["code"]) == (400, "record_invalid")
    assert refused.json["detail"].startswith("The record does not fit the schema:")
    assert {(error["loc"][-1], error["type"]) for error in refused.json["errors"]} == {
        ("title", "required"),
        ("n", "invalid_type"),
        ("nope", "unknown_field"),
    }


def test_a_taken_value_is_a_conflict(site):
    site.make()
    site.add(title="a", n=1)
    refused = site("POST", RECORDS, {"title": "b", "n": 1})
    assert (refused.status_code, refused.json["code"]) == (409, "unique_violation")


@pytest.mark.parametrize(
    ("header", "status", "code"),
    [
        ('"2"', 412, "version_mismatch"),
        ('W/"1"', 412, "version_mismatch"),
        ("1", 400, "invalid_header"),
    ],
)
def test_a_precondition_that_does_not_hold_is_told(site, header, status, code):
    site.make()
    path = f"{RECORDS}/{site.add(title='a')['id']}"
    for method, body in (("PATCH", {"title": "b"}), ("DELETE", None)):
        refused = site(method, path, body, If_Match=header)
        assert (refused.status_code, refused.json["code"]) == (status, code)
    assert site("GET", path).json["version"] == 1


def test_a_collection_may_require_a_precondition(site):
    site.make(require_if_match=True)
    path = f"{RECORDS}/{site.add(title='a')['id']}"
    for method, body in (("PATCH", {"title": "b"}), ("DELETE", None)):
        refused = site(method, path, body)
        assert (refused.status_code, refused.json["code"]) == (428, "precondition_required")
    assert site("PATCH", path, {"title": "b"}, If_Match="*").status_code == 200


def test_records_are_filtered_sorted_and_paged(site):
    site.make()
    for n, title in enumerate(["a", "b,c", "ä&b", "b%"]):
        site.add(title=title, n=n, done=n % 2 == 0)

    def titles(query: str) -> list[str]:
        page = site("GET", f"{RECORDS}?{query}")
        assert page.status_code == 200, page.text
        return [record["data"]["title"] for record in page.json["records"]]

    assert titles("") == ["b%", "ä&b", "b,c", "a"]
    assert titles("filter[n]=2") == ["ä&b"]
    assert titles("filter%5Bn%5D%5Bgte%5D=2&sort=n") == ["ä&b", "b%"]
    assert titles("filter[title][in]=a,b%5C,c&sort=-title") == ["b,c", "a"]
    assert titles("filter[title][in]=a&filter[title][in]=b%25&sort_by=n&sort_order=asc") == [
        "a",
        "b%",
    ]
    assert titles("filter[title][contains]=%26") == ["ä&b"]
    assert titles("filter[title][startswith]=b%25") == ["b%"]
    assert titles("filter[done]=no&filter[n][lt]=3") == ["b,c"]
    assert titles("sort_by=n") == ["b%", "ä&b", "b,c", "a"]
    assert titles("sort_order=asc") == ["a", "b,c", "ä&b", "b%"]

    page = site("GET", f"{RECORDS}?limit=3&offset=2").json
    assert {key: page[key] for key in ("total", "limit", "offset")} == {
        "total": 4,
        "limit": 3,
        "offset": 2,
    }
    assert len(page["records"]) == 2
    assert site("GET", f"{RECORDS}?count=false").json["total"] is None


@pytest.mark.parametrize(
    ("query", "status", "code"),
    [
        ("filter[nope]=1", 400, "invalid_filter"),
        ("filter[n][like]=1", 400, "invalid_filter"),
        ("filter[n][]=1", 400, "invalid_filter"),
        ("filter[n]=x", 400, "invalid_filter"),
        ("filter[done][gt]=true", 400, "invalid_filter"),
        ("filter=1", 400, "unknown_parameter"),
        ("filter[n][eq][x]=1", 400, "unknown_parameter"),
        ("filter[n]=1&filter[n]=2", 400, "duplicate_parameter"),
        ("&".join(f"filter[title][{op}]=a" for op in ("eq", "ne")) + "&filter[n][gt]=1" * 2,
         400, "duplicate_parameter"),
        ("sort=nope", 400, "invalid_sort"),
        ("sort=", 400, "invalid_sort"),
        ("sort=--n", 400, "invalid_sort"),
        ("sort_by=nope", 400, "invalid_sort"),
        ("sort=n&sort_by=n", 400, "invalid_sort"),
        ("sort=n&sort_order=asc", 400, "invalid_sort"),
        ("sort=n,done,title,id,version,created_at", 400, "invalid_sort"),
        ("sort_order=up", 422, "validation_error"),
        ("limit=0", 422, "validation_error"),
        ("limit=1001", 422, "validation_error"),
        ("offset=-1", 422, "validation_error"),
        ("offset=10000001", 422, "validation_error"),
        ("count=perhaps", 422, "validation_error"),
        ("cursor=x", 400, "invalid_cursor"),
        ("expand=owner", 400, "unknown_parameter"),
        ("limit=1&limit=2", 400, "duplicate_parameter"),
        ("filter[title]=a%00", 422, "validation_error"),
        ("filter[title]=%ff", 422, "validation_error"),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_answered_is_refused(site, query, status, code):
    site.make()
    refused = site("GET", f"{RECORDS}?{query}")
    assert (refused.status_code, refused.json["code"]) == (status, code), refused.text


def test_fields_choose_what_of_the_data_is_returned(site):
    site.make()
    record = site.add(title="a", n=1)
    for path, found in (
        (f"{RECORDS}/{record['id']}", lambda body: body),
        (RECORDS, lambda body: body["records"][0]),
    ):
        chosen = found(site("GET", f"{path}?fields=n,data.title,id").json)
        assert chosen == {**record, "data": {"title": "a", "n": 1}}
        assert found(site("GET", f"{path}?fields=version").json)["data"] == {}
        for names in ("nope", "", "n,", "data.nope", "title.x"):
            refused = site("GET", f"{path}?fields={names}")
            assert (refused.status_code, refused.json["code"]) == (400, "invalid_fields")


def test_more_than_twenty_terms_are_refused(site):
    site.make()
    values = ("a", "b", "c", "d")
    terms = [f"filter[{field}][{op}]=1" for field in ("title", "n", "version", "data.n")
             for op in ("eq", "ne", "gt", "gte", "lt", "lte")]  # fmt: skip
    assert len(terms) == 20 + len(values)
    assert site("GET", f"{RECORDS}?{'&'.join(terms[:20])}").status_code == 200
    assert site("GET", f"{RECORDS}?{'&'.join(terms)}").json["code"] == "invalid_filter"


def test_rules_are_asked_before_query_and_body_are_looked_at(site):
    site.make()
    assert site("GET", f"{RECORDS}?nope=1", who=None).json["code"] == "forbidden"
    assert site("GET", "/api/collections/nope/records?nope=1", who=None).json["code"] == "forbidden"
    for path in (RECORDS, "/api/collections/nope/records"):
        refused = site.client.post(path, data="{", headers={"Content-Type": "application/json"})
        assert (refused.status_code, refused.json["code"]) == (401, "not_authenticated")
    assert site("GET", f"{RECORDS}?nope=1", who="user").json["code"] == "unknown_parameter"


def test_an_identifier_that_is_no_uuid_is_a_422(site):
    site.make()
    for method in ("GET", "PATCH", "DELETE"):
        refused = site(method, f"{RECORDS}/1", {} if method == "PATCH" else None)
        assert refused.status_code == 422
        assert refused.json["detail"][0]["loc"] == ["path", "record_id"]


def test_strangers_cannot_tell_hidden_from_missing(site):
    site.make()
    record = site.add("user", title="a")
    for method, body in (("GET", None), ("PATCH", {"title": "b"}), ("DELETE", None)):
        hidden = site(method, f"{RECORDS}/{record['id']}", body, who="stranger")
        missing = site(method, f"{RECORDS}/{uuid4()}", body, who="stranger")
        assert hidden.status_code == missing.status_code == 404
        assert without_ids(hidden) == without_ids(missing)
    assert site("GET", RECORDS, who="stranger").json["total"] == 0
    assert site("GET", RECORDS, who="user").json["total"] == 1


def without_ids(response: TestResponse) -> str:
    return re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", response.text)


def test_admins_say_whose_a_record_is(site):
    site.make()
    owner = f"?owner_id={site.user.id}"
    made = site("POST", RECORDS + owner, {"title": "a"})
    assert made.json["owner_id"] == str(site.user.id)
    path = f"{RECORDS}/{made.json['id']}"
    moved = site("PATCH", f"{path}?owner_id={site.admin.id}", {})
    assert (moved.json["owner_id"], moved.json["version"]) == (str(site.admin.id), 2)
    refused = site("POST", RECORDS + owner, {"title": "a"}, who="user")
    assert (refused.status_code, refused.json["code"]) == (403, "admin_required")
    unknown = site("POST", f"{RECORDS}?owner_id={uuid4()}", {"title": "a"})
    assert unknown.json["detail"][0]["loc"] == ["query", "owner_id"]
    assert site("POST", f"{RECORDS}?owner_id=x", {"title": "a"}).status_code == 422


def test_a_dry_run_reports_and_force_changes(site):
    site.make()
    record = site.add(title="a")
    schema = {"schema": {"fields": [{"name": "title", "type": "int"}]}}
    report = site("PATCH", "/api/collections/posts?dry_run=true", schema)
    assert report.status_code == 200
    assert report.json["valid"] is False
    assert report.json["records_checked"] == 1
    (conflict,) = report.json["conflicts"]
    assert conflict["record_id"] == record["id"]
    assert conflict["errors"][0]["type"] == "invalid_type"

    refused = site("PATCH", "/api/collections/posts", schema)
    assert (refused.status_code, refused.json["code"]) == (409, "schema_conflict")
    assert refused.json["conflicts"] == report.json["conflicts"]
    forced = site("PATCH", "/api/collections/posts?force=yes", schema)
    assert (forced.status_code, forced.json["version"]) == (200, 2)
    assert site("GET", RECORDS).json["records"][0]["data"] == {"title": "a"}


def test_the_clients_of_the_reference_find_what_they_rely_on(start_app):
    with start_app(TINYBASE_COLLECTIONS_DEFAULT_ACCESS="compatible") as app:
        people = [sign_up(app, f"{name}@test.com", is_admin=name == "a") for name in "aus"]
        walk_through_the_reference(app.test_client(), *(person.headers for person in people))


def walk_through_the_reference(
    client: FlaskClient, admin: dict[str, str], user: dict[str, str], stranger: dict[str, str]
) -> None:
    assert client.get("/api/collections").json == []
    assert client.post("/api/collections", json={}).status_code == 401
    assert client.post("/api/collections", json={}, headers=user).status_code == 403
    body = {"name": "posts", "label": "Posts", "schema": SCHEMA}
    assert client.post("/api/collections", json=body, headers=admin).status_code == 201
    assert client.post("/api/collections", json=body, headers=admin).status_code == 400
    assert client.get("/api/collections/posts").json["schema"]["fields"] == SCHEMA["fields"]

    assert client.post(RECORDS, json={"data": {}}, headers=user).status_code == 400
    made = client.post(RECORDS, json={"data": {"title": "a", "done": True}}, headers=user)
    assert (made.status_code, made.json["data"]["done"]) == (201, True)
    path = f"{RECORDS}/{made.json['id']}"
    assert client.get(path).status_code == 200
    change = {"data": {"title": "b"}}
    assert client.patch(path, json=change, headers=stranger).status_code == 403
    assert client.patch(path, json=change, headers=user).json["data"]["done"] is True
    assert client.patch(path, json=change, headers=admin).status_code == 200
    assert client.get(RECORDS).json["total"] == 1
    assert client.delete(path, headers=user).status_code == 204
    assert client.get(path).status_code == 404
    missing = "/api/collections/nope/records"
    assert client.get(missing, headers=admin).status_code == 404
    assert client.post(missing, json={}, headers=admin).status_code == 404
    assert client.get(f"{missing}/{uuid4()}", headers=admin).status_code == 404
    restricted = {"options": {"access": {"list": "auth"}}}
    client.patch("/api/collections/posts", json=restricted, headers=admin)
    assert client.get(RECORDS).status_code == 403
    assert client.get(RECORDS, headers=stranger).status_code == 200
    assert client.delete("/api/collections/posts", headers=admin).status_code == 204
    assert client.get("/api/collections/posts").status_code == 404


def test_the_document_names_operations_and_components(site):
    document = site.client.get("/openapi.json").json
    ids = {
        operation["operationId"]
        for path in document["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict) and "operationId" in operation
    }
    assert ids >= {
        "collections_list_collections",
        "collections_create_collection",
        "collections_get_collection",
        "collections_update_collection",
        "collections_delete_collection",
        "collections_list_records",
        "collections_create_record",
        "collections_get_record",
        "collections_update_record",
        "collections_replace_record",
        "collections_delete_record",
    }
    assert set(document["components"]["schemas"]) >= {
        "CollectionCreate",
        "CollectionUpdate",
        "CollectionResponse",
        "RecordCreate",
        "RecordUpdate",
        "RecordResponse",
        "RecordListResponse",
    }


def test_a_list_has_its_records_as_they_are_read_one_by_one(site):
    site.make()
    site.add("user", title='a "quoted" text, with ü and \\', n=2**53 + 1)
    site.add(title="b", done=True)
    later = [*SCHEMA["fields"], {"name": "tags", "type": "list", "default": ["new"]}]
    changed = site("PATCH", "/api/collections/posts", {"schema": {"fields": later}})
    assert changed.status_code == 200, changed.text
    site.add(title="c", tags=["x"])
    for more in ("", "&fields=tags,title", "&fields=n"):
        listed = site("GET", f"{RECORDS}?sort=title,-n{more}").json
        for record in listed["records"]:
            alone = site("GET", f"{RECORDS}/{record['id']}?{more.lstrip('&')}")
            assert record == alone.json
        del listed["records"]
        assert listed == {"total": 3, "limit": 100, "offset": 0, "next_cursor": None}


def test_a_list_follows_a_change_of_the_schema_at_once(site):
    site.make()
    site.add(title="7")
    assert site("GET", f"{RECORDS}?filter[title]=x").json["total"] == 0
    numbers = [{"name": "title", "type": "int"}]
    changed = site("PATCH", "/api/collections/posts?force=true", {"schema": {"fields": numbers}})
    assert changed.status_code == 200, changed.text
    assert site("GET", f"{RECORDS}?filter[title]=x").json["code"] == "invalid_filter"
    site.add(title=8)
    assert site("GET", f"{RECORDS}?filter[title]=8").json["total"] == 1


def test_a_query_means_the_same_each_time(site):
    site.make()
    for n in range(3):
        site.add(title="a", n=n)
    for _ in range(2):
        page = site("GET", f"{RECORDS}?limit=1&offset=1&sort=n&count=false").json
        assert [record["data"]["n"] for record in page["records"]] == [1]
        assert page["total"] is None
        assert site("GET", f"{RECORDS}?limit=1&offset=1&sort=n&count=perhaps").status_code == 422
        assert site("GET", f"{RECORDS}?offset=1&limit=0").status_code == 422
        assert site("GET", f"{RECORDS}?limit=1&sort=-n").json["total"] == 3
