"""What the page shows, over HTTP and on the command line."""

from __future__ import annotations

import pytest
from tinybase_dashboard import commands, failures, routes

from tinybase.extensions import ErrorEvent

OVERVIEW = "/api/ext/tinybase-dashboard/overview"
NOTES = "/api/collections/notes/records"


def overview(tinybase):
    answer = tinybase.get(OVERVIEW)
    assert answer.status_code == 200, answer.text
    return answer.json


def count(tinybase, collection):
    (found,) = (c for c in overview(tinybase)["collections"] if c["name"] == collection)
    return found["records"]


def divide_by_zero(tinybase):
    tinybase.call("divide", {"a": 1, "b": 0}, {})


def test_the_overview_is_for_admins_only(tinybase):
    user = tinybase.user("ann@example.com")

    assert tinybase.get(OVERVIEW, {}).status_code == 401
    assert tinybase.get(OVERVIEW, user).status_code == 403
    assert tinybase.get(OVERVIEW).headers["Cache-Control"] == "no-store"


def test_records_are_counted_as_they_come_and_go(tinybase):
    before = count(tinybase, "notes")

    made = tinybase.post(NOTES, {"text": "a"}).json["id"]
    assert count(tinybase, "notes") == before + 1

    tinybase.delete(f"{NOTES}/{made}")
    assert count(tinybase, "notes") == before


def test_a_collection_without_records_is_shown_too(tinybase):
    tinybase.collection("empty")

    empty = {"name": "empty", "label": "empty", "records": 0, "newest": None}
    assert empty in overview(tinybase)["collections"]


def test_the_newest_record_is_dated(tinybase):
    made = tinybase.post(NOTES, {"text": "new"}).json

    (notes,) = (c for c in overview(tinybase)["collections"] if c["name"] == "notes")
    assert notes["newest"][:19] == made["created_at"][:19]


def test_a_function_that_fails_is_shown(tinybase):
    divide_by_zero(tinybase)

    newest = overview(tinybase)["failures"][0]
    assert (newest["source"], newest["handler"]) == ("function", "divide")
    assert (newest["error_type"], newest["message"]) == ("ZeroDivisionError", "division by zero")
    assert newest["request_id"]
    assert newest["at"].endswith("+00:00")


def test_a_handler_that_fails_is_shown_with_the_beginning_of_what_it_says(tinybase):
    answer = tinybase.post(NOTES, {"text": "unreadable"}, {})
    assert answer.status_code == 201

    newest = overview(tinybase)["failures"][0]
    assert (newest["handler"], newest["error_type"]) == ("broken:read", "ValueError")
    assert newest["message"] == "x" * failures.LONGEST_MESSAGE


def test_no_more_failures_are_kept_than_the_operator_wants(tinybase):
    for _ in range(5):
        divide_by_zero(tinybase)

    assert count(tinybase, failures.FAILURES) == 3


def test_the_overview_says_when_there_are_more_failures_than_it_has(tinybase, monkeypatch):
    for _ in range(3):
        divide_by_zero(tinybase)
    assert overview(tinybase)["has_more_failures"] is False

    monkeypatch.setattr(routes, "SHOWN_FAILURES", 2)
    shown = overview(tinybase)
    assert (len(shown["failures"]), shown["has_more_failures"]) == (2, True)


def test_what_failed_is_nothing_for_other_than_admins(tinybase):
    ann = tinybase.user("bob@example.com")

    records = f"/api/collections/{failures.FAILURES}/records"
    assert (tinybase.get(records, ann).status_code, tinybase.get(records, {}).status_code) == (
        404,
        403,
    )


def test_a_failure_is_described_without_its_traceback():
    event = ErrorEvent("request", KeyError("k"), None, None, "GET", "/x", request_id="r")

    assert failures.describe(event) == {
        "source": "request",
        "extension": None,
        "handler": None,
        "error_type": "KeyError",
        "message": "'k'",
        "method": "GET",
        "path": "/x",
        "request_id": "r",
    }


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "KeyError: 'k'"),
        ({"message": "two\n lines"}, "KeyError: two lines"),
        ({"message": None}, "KeyError: "),
    ],
)
def test_the_command_has_one_line_for_each_failure(changes, said):
    event = ErrorEvent("request", KeyError("k"), None, None, "GET", "/x")
    failure = {"at": "2026-01-31T12:00:00+00:00", **failures.describe(event), **changes}

    assert commands.line(failure) == f"2026-01-31T12:00:00+00:00  GET /x: {said}"


@pytest.mark.parametrize(
    ("handler", "path", "where"), [("a:b", "/x", "a:b"), (None, None, "function")]
)
def test_a_line_names_the_handler_or_else_what_there_is(handler, path, where):
    event = ErrorEvent("function", KeyError("k"), None, handler, None, path)

    assert f"  {where}: KeyError" in commands.line({"at": "now", **failures.describe(event)})
