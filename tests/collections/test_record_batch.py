"""Batches of changes, as clients send them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import UUID, uuid4

import pytest
from werkzeug.test import TestResponse

from tinybase.testing import Running, running
from tinybase_hookspecs import hookimpl

BATCH = "/api/collections/posts/records/batch"
SCHEMA = {
    "fields": [
        {"name": "title", "type": "string", "required": True},
        {"name": "key", "type": "string", "unique": True},
        {"name": "n", "type": "int", "default": 7},
    ]
}


class Site:
    """An application with a collection, and what the hooks were told of it."""

    def __init__(self, started: Running) -> None:
        self.started = started
        self.user = started.user("user@example.com")
        self.other = started.user("other@example.com")
        self.events: list[Any] = []

    def make(self, name: str = "posts", **options: Any) -> None:
        collections = self.started.services.collections
        if collections.find(name):
            collections.delete(name)
        collections.create(name, schema=SCHEMA, options=options)
        self.events.clear()

    def batch(
        self, *operations: Any, who: dict[str, str] | None = None, **headers: str
    ) -> TestResponse:
        sent = {**(self.started.headers if who is None else who), **headers}
        return self.started.post(BATCH, {"operations": operations}, sent)

    def create(self, who: dict[str, str] | None = None, **data: Any) -> str:
        answer = self.started.post("/api/collections/posts/records", data, who)
        assert answer.status_code == 201, answer.json
        self.events.clear()
        record_id: str = answer.json["id"]
        return record_id

    def get(self, record_id: str) -> Any:
        return self.started.get(f"/api/collections/posts/records/{record_id}").json

    def total(self) -> int:
        total: int = self.started.get("/api/collections/posts/records").json["total"]
        return total

    @hookimpl
    def tinybase_on_record_create(self, event: Any) -> None:
        self._note("create", event)

    @hookimpl
    def tinybase_on_record_update(self, event: Any) -> None:
        self._note("update", event)

    @hookimpl
    def tinybase_on_record_delete(self, event: Any) -> None:
        self._note("delete", event)

    def _note(self, what: str, event: Any) -> None:
        # By now everything is committed, whatever the first event is about.
        total = self.total() if len(self.events) < 10 else None
        self.events.append((what, event.record_id, total))


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running(tmp_path_factory.mktemp("instance")) as found:
        yield Site(found)


@pytest.fixture
def site(started: Site) -> Iterator[Site]:
    started.make()
    manager = started.started.services.host.pm
    manager.register(started)
    yield started
    manager.unregister(started)


def problem(answer: TestResponse) -> tuple[int, str, int | None]:
    return answer.status_code, answer.json["code"], answer.json.get("operation")


def test_all_kinds_of_changes_are_carried_out_in_their_order(site):
    old, gone, own = site.create(title="old", n=1), site.create(title="gone"), str(uuid4())
    answer = site.batch(
        {"op": "create", "data": {"title": "A"}},
        {"op": "create", "id": own, "data": {"title": "B"}},
        {"op": "update", "id": own, "version": 1, "data": {"n": 1}},
        {"op": "replace", "id": old, "data": {"title": "new"}},
        {"op": "upsert", "id": old, "version": 2, "data": {"title": "newer"}},
        {"op": "upsert", "id": str(uuid4()), "data": {"title": "C"}},
        {"op": "update", "id": old, "data": {"title": "newer"}},
        {"op": "delete", "id": gone, "version": 1},
    )

    assert answer.status_code == 200
    results = answer.json["results"]
    assert [result["index"] for result in results] == list(range(8))
    assert [result["status"] for result in results] == [201, 201, 200, 200, 200, 201, 200, 204]
    assert [result["record"] and result["record"]["version"] for result in results] == [
        *(1, 1, 2, 2, 3, 1, 3),
        None,
    ]
    assert results[1]["record"]["id"] == own
    assert results[4]["record"]["data"] == {"title": "newer", "key": None, "n": 7}
    assert site.get(old) == results[6]["record"]
    assert site.get(own) == results[2]["record"]
    assert site.total() == 4


def test_the_hooks_are_told_of_each_change_after_the_one_commit(site):
    old = site.create(title="old")
    answer = site.batch(
        {"op": "create", "data": {"title": "A"}},
        {"op": "update", "id": old, "data": {"title": "B"}},
        {"op": "update", "id": old, "data": {"title": "B"}},
        {"op": "delete", "id": old},
    )
    made = UUID(answer.json["results"][0]["record"]["id"])
    assert site.events == [("create", made, 1), ("update", UUID(old), 1), ("delete", UUID(old), 1)]


@pytest.mark.parametrize(
    ("bad", "expected"),
    [
        ({"op": "create", "data": {"n": 1}}, (400, "record_invalid")),
        ({"op": "create", "data": {"title": "a", "key": "k"}}, (409, "unique_violation")),
        ({"op": "create", "data": {"title": "a"}, "id": "OLD"}, (409, "id_conflict")),
        ({"op": "update", "data": {"title": None}, "id": "OLD"}, (400, "record_invalid")),
        ({"op": "update", "data": {"key": "k"}, "id": "OLD"}, (409, "unique_violation")),
        ({"op": "update", "data": {"n": 1}, "id": str(uuid4())}, (404, "not_found")),
        ({"op": "replace", "data": {"title": "a"}, "id": str(uuid4())}, (404, "not_found")),
        ({"op": "delete", "id": str(uuid4())}, (404, "not_found")),
        ({"op": "delete", "id": "OLD", "version": 2}, (412, "version_mismatch")),
        (
            {"op": "upsert", "id": str(uuid4()), "version": 1, "data": {"title": "a"}},
            (412, "version_mismatch"),
        ),
    ],
)
def test_one_that_fails_undoes_all_and_is_named(site, bad, expected):
    site.create(title="other", key="k")
    old = site.create(title="old")
    before = site.get(old)
    answer = site.batch(
        {"op": "create", "data": {"title": "A"}},
        {"op": "update", "id": old, "data": {"n": 2}},
        {"op": "update", "id": old, "data": {"n": 1}},
        {**bad, **({"id": old} if bad.get("id") == "OLD" else {})},
        {"op": "delete", "id": str(uuid4())},
    )
    assert problem(answer) == (*expected, 3)
    assert answer.json["detail"].startswith("Operation 3: ")
    assert (site.get(old), site.total(), site.events) == (before, 2, [])


def test_faults_lead_to_the_operation(site):
    answer = site.batch(
        {"op": "create", "data": {"title": "A"}}, {"op": "create", "data": {"n": "x"}}
    )
    assert [fault["loc"] for fault in answer.json["errors"]] == [
        ["body", "operations", 1, "data", "n"],
        ["body", "operations", 1, "data", "title"],
    ]


def test_a_wrong_version_is_told_with_the_current_one(site):
    old = site.create(title="old")
    answer = site.batch({"op": "update", "id": old, "version": 9, "data": {"n": 1}})
    assert problem(answer) == (412, "version_mismatch", 0)
    assert answer.json["current_version"] == 1
    assert answer.json["detail"] == "Operation 0: the record has version 1, not 9"


def test_the_option_that_asks_for_versions_holds(site):
    site.make(require_if_match=True)
    old = site.create(title="old")
    for operation in (
        {"op": "update", "id": old, "data": {"n": 1}},
        {"op": "replace", "id": old, "data": {"title": "a"}},
        {"op": "upsert", "id": old, "data": {"title": "a"}},
        {"op": "delete", "id": old},
    ):
        answer = site.batch({"op": "create", "data": {"title": "A"}}, operation)
        assert problem(answer) == (428, "precondition_required", 1)
        assert site.batch({**operation, "version": site.get(old)["version"]}).status_code == 200


def test_data_is_always_the_record(site):
    answer = site.batch({"op": "create", "data": {"data": {"title": "A"}}})
    assert problem(answer) == (400, "record_invalid", 0)


@pytest.mark.parametrize(
    ("operation", "loc", "type_"),
    [
        ({}, "op", "required"),
        ({"op": "move"}, "op", "not_allowed"),
        ({"op": "create"}, "data", "required"),
        ({"op": "create", "data": {}, "version": 1}, "version", "unknown_field"),
        ({"op": "update", "data": {}}, "id", "required"),
        ({"op": "upsert", "id": str(uuid4())}, "data", "required"),
        ({"op": "delete", "id": "x"}, "id", "invalid_uuid"),
        ({"op": "delete", "id": str(uuid4()), "data": {}}, "data", "unknown_field"),
        ({"op": "create", "data": {}, "owner_id": None}, "owner_id", "unknown_field"),
        ({"op": "create", "data": []}, "data", "invalid_type"),
        ({"op": "delete", "id": str(uuid4()), "version": 0}, "version", "too_small"),
    ],
)
def test_an_operation_that_is_none_is_refused_before_anything_is_done(site, operation, loc, type_):
    answer = site.batch({"op": "create", "data": {"title": "A"}}, operation)
    assert problem(answer) == (422, "validation_error", None)
    (fault,) = answer.json["detail"]
    assert (fault["loc"], fault["type"]) == (["body", "operations", 1, loc], type_)


def test_a_batch_has_one_to_a_thousand_operations(site):
    create = {"op": "create", "data": {"title": "A"}}
    assert site.batch().status_code == 422
    assert site.batch(*[create] * 1001).status_code == 422
    assert site.batch(*[create] * 1000).status_code == 200
    assert site.total() == 1000


def test_a_batch_may_be_larger_than_another_body(site):
    operations = [{"op": "create", "data": {"title": "x" * 200_000}}] * 11
    assert site.batch(*operations).status_code == 200
    assert problem(site.batch(*operations * 5)) == (413, "payload_too_large", None)


def test_the_rules_hold_for_every_operation(site):
    site.make(access={"create": "auth", "read": "public", "update": "owner", "delete": "admin"})
    own, foreign = site.create(site.user, title="own"), site.create(site.other, title="foreign")
    create = {"op": "create", "data": {"title": "A"}}
    for operation, expected in (
        ({"op": "update", "id": own, "data": {"n": 1}}, (200, None)),
        ({"op": "update", "id": foreign, "data": {"n": 1}}, (403, 1)),
        ({"op": "upsert", "id": foreign, "data": {"title": "A"}}, (403, 1)),
        ({"op": "delete", "id": own}, (403, 1)),
        (create, (200, None)),
    ):
        answer = site.batch(create, operation, who=site.user)
        assert (answer.status_code, answer.json.get("operation")) == expected
    assert site.total() == 5


def test_somebody_unknown_and_somebody_hidden_from_learn_nothing(site):
    create = {"op": "create", "data": {"title": "A"}}
    assert problem(site.batch(create, who={})) == (401, "not_authenticated", None)
    site.make(access=dict.fromkeys(("list", "read", "create", "update", "delete"), "admin"))
    assert problem(site.batch(create, who=site.user)) == (404, "not_found", None)
    site.make(access={"create": "public"})
    gone = {"op": "delete", "id": str(uuid4())}
    assert site.batch(create, who={}).status_code == 200
    assert problem(site.batch(create, gone, who={})) == (401, "not_authenticated", 1)


def test_records_of_somebody_else_look_missing(site):
    foreign = site.create(site.other, title="foreign")
    answers = [
        site.batch({"op": "update", "id": record_id, "data": {}}, who=site.user)
        for record_id in (foreign, str(uuid4()))
    ]
    assert [problem(answer) for answer in answers] == [(404, "not_found", 0)] * 2
    assert site.batch({"op": "create", "data": {"title": "own"}}, who=site.user).json["results"][0][
        "record"
    ]["owner_id"]


def test_a_repeated_batch_is_carried_out_once(site):
    operations = [{"op": "create", "data": {"title": "A"}}] * 3
    headers = {"Idempotency-Key": "batch-1"}
    first = site.batch(*operations, **headers)
    again = site.batch(*operations, **headers)
    assert (first.status_code, again.headers["Idempotency-Replayed"]) == (200, "true")
    assert again.data == first.data
    assert site.total() == 3
    assert problem(site.batch(*operations[1:], **headers)) == (422, "idempotency_key_reused", None)


def test_a_batch_is_one_transaction(site, monkeypatch):
    transactions: list[Any] = []
    connections = site.started.services.database.raw
    begun = connections.begun
    monkeypatch.setattr(
        connections, "begun", lambda: transactions.append(begun()) or transactions[-1]
    )
    answer = site.batch(*[{"op": "create", "data": {"title": "A"}}] * 3)
    assert (answer.status_code, len(transactions)) == (200, 1)


def test_a_collection_is_deleted_in_the_version_that_was_seen_only(site):
    path = "/api/collections/posts"
    for tag, expected in (('"2"', 412), ('W/"1"', 412), ("1", 400), ('"1"', 204)):
        answer = site.started.delete(path, {**site.started.headers, "If-Match": tag})
        assert answer.status_code == expected
