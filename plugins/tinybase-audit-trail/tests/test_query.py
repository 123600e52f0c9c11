"""Filters and pages of ``audit_trail_query``."""

from __future__ import annotations

import pytest
from pydantic import ValidationError
from tinybase_audit_trail.functions import AuditTrailQuery

from tinybase.testing import running

NOTES = "/api/collections/notes/records"


@pytest.fixture(scope="module")
def tinybase(tmp_path_factory):
    """One TinyBase for all tests: they only ask."""
    with running(tmp_path_factory.mktemp("query")) as tinybase:
        tinybase.collection("notes", {"fields": [{"name": "text"}]})
        yield tinybase


@pytest.fixture(scope="module")
def three(tinybase):
    """Three notes: two of Ann's and one of the admin's."""
    ann = tinybase.user("ann@example.com")
    return [
        tinybase.post(NOTES, {"text": text}, headers).json["id"]
        for text, headers in [("a", ann), ("b", ann), ("c", tinybase.headers)]
    ]


def test_entries_are_filtered_by_actor(tinybase, query, three):
    entries = query(kind="record_create", actor="user")["entries"]
    assert [entry["record_id"] for entry in entries] == [three[1], three[0]]
    (ann,) = {entry["actor_id"] for entry in entries}
    assert query(actor_id=ann, kind="record_create")["total"] == 2
    assert query(actor="system", kind="record_create")["total"] == 0


def test_entries_are_filtered_by_collection(query, three):
    assert query(collection="notes")["total"] == 3
    assert query(collection="other")["total"] == 0


def test_entries_are_filtered_by_time_whose_end_is_not_part_of_it(query, three):
    middle = query(record_id=three[1])["entries"][0]["occurred_at"]
    notes = {"collection": "notes"}
    assert query(since=middle, **notes)["total"] == 2
    assert query(until=middle, **notes)["total"] == 1
    assert query(since=middle, until=middle, **notes)["total"] == 0
    assert query(since="2000-01-01T00:00:00", until="2000-01-02T00:00:00+02:00")["total"] == 0


def test_pages_do_not_overlap_and_know_the_total(query, three):
    pages = [query(collection="notes", limit=2, offset=offset) for offset in (0, 2)]
    assert [page["total"] for page in pages] == [3, 3]
    assert [(page["limit"], page["offset"]) for page in pages] == [(2, 0), (2, 2)]
    ids = [entry["record_id"] for page in pages for entry in page["entries"]]
    assert ids == list(reversed(three))


@pytest.mark.parametrize(
    "payload",
    [
        {"kind": "unknown"},
        {"actor": "nobody"},
        {"actor_id": "x"},
        {"since": "yesterday"},
        {"limit": 0},
        {"limit": 1001},
        {"offset": -1},
        {"colection": "notes"},
    ],
)
def test_a_filter_that_means_nothing_is_refused(payload):
    with pytest.raises(ValidationError):
        AuditTrailQuery.model_validate(payload)


def test_a_misspelt_filter_is_named_to_the_client(tinybase):
    answer = tinybase.call("audit_trail_query", {"colection": "notes"})
    assert (answer["status"], answer["error_type"]) == ("failed", "ValidationError")
    assert "colection" in answer["error_message"]


def test_both_models_are_shown_to_clients(tinybase):
    schema = tinybase.get("/api/functions/audit_trail_query/schema").json
    assert "collection" in schema["input_schema"]["properties"]
    assert "entries" in schema["output_schema"]["properties"]
