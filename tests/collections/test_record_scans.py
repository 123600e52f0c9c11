"""Lists that no index helps: noticed, and told once."""

from __future__ import annotations

import pytest

from tinybase.actors import SYSTEM
from tinybase.collections import query_scans
from tinybase.collections.query_scans import scanned_fields

FIELDS = [
    {"name": "n", "type": "integer"},
    {"name": "known", "type": "string", "indexed": True},
    {"name": "text", "type": "string"},
    {"name": "tags", "type": "list"},
    {"name": "version", "type": "integer"},
]


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch):
    monkeypatch.setattr(query_scans, "LARGE", 5)


@pytest.fixture
def posts(room):
    room.make("posts", *FIELDS)
    room.fill("posts", *({"n": n, "known": str(n), "text": "a"} for n in range(5)))
    return room


def noticed(room, **query):
    room.records.list(SYSTEM, "posts", **query)
    return scanned_fields(room.database, room.collections.get("posts"))


@pytest.mark.parametrize(
    ("query", "fields"),
    [
        ({"filters": {"n": 1}}, ["n"]),
        ({"filters": {"n": {"gt": 1}, "text": {"in": "a,b"}}}, ["n", "text"]),
        ({"filters": {"text": {"startswith": "a"}}, "sort": "-n"}, ["text"]),
        ({"filters": {"data.version": 1}}, ["version"]),
        ({"sort": "-n,text"}, ["n"]),
        ({"sort": "data.version"}, ["version"]),
        ({"filters": {"text": {"contains": "a"}}, "sort": "n"}, ["n"]),
        ({}, []),
        ({"sort": "known,n"}, []),
        ({"sort": "version"}, []),
        ({"filters": {"known": "1", "n": 1}, "sort": "text"}, []),
        ({"filters": {"owner_id": {"eq": "0190b6c2-0000-7000-8000-000000000000"}, "n": 1}}, []),
        ({"filters": {"text": {"contains": "a"}, "tags": {"contains": "a"}}}, []),
        ({"filters": {"text": {"ne": "a"}, "n": {"null": True}}}, []),
    ],
)
def test_the_fields_that_lack_an_index_are_noted(posts, query, fields):
    assert noticed(posts, **query) == fields


def test_a_list_of_what_somebody_owns_is_short_enough(posts):
    posts.records.list(posts.user(), "posts", filters={"n": 1})
    assert scanned_fields(posts.database, posts.collections.get("posts")) == []


def test_nobody_is_told_of_a_small_collection(room, monkeypatch):
    monkeypatch.setattr(query_scans, "_ASK_AGAIN_SECONDS", 0)
    room.make("posts", *FIELDS)
    room.fill("posts", *({"n": n} for n in range(4)))
    assert noticed(room, filters={"n": 1}) == []
    room.fill("posts", {"n": 4})
    assert noticed(room, filters={"n": 1}) == ["n"]


def test_the_size_is_not_looked_at_with_every_list(posts, monkeypatch):
    monkeypatch.setattr(query_scans, "LARGE", 6)
    with posts.watched() as first:
        noticed(posts, filters={"n": 1})
    with posts.watched() as second:
        noticed(posts, filters={"n": 1})
    assert len(second) == len(first) - 1


def test_the_log_says_it_once_whoever_asks_again(make_room, caplog):
    one, other = make_room(), make_room()
    one.make("posts", *FIELDS)
    one.fill("posts", *({"n": n} for n in range(5)))
    for room in (one, one, other):
        noticed(room, filters={"n": 1})
    assert [record.getMessage() for record in caplog.records] == [
        "a list of the collection posts was read from its first record to the last: "
        'give its field n "indexed": true'
    ]


def test_a_field_that_has_its_index_is_forgotten(posts):
    assert noticed(posts, filters={"n": 1, "text": "a"}) == ["n", "text"]
    fields = [{**FIELDS[0], "indexed": True}, FIELDS[1]]
    posts.collections.update("posts", schema={"fields": fields})
    assert scanned_fields(posts.database, posts.collections.get("posts")) == []
    posts.collections.delete("posts")


def test_a_database_that_cannot_be_written_to_answers_all_the_same(posts, caplog):
    rename(posts, "unindexed_scans", "elsewhere")
    page = posts.records.list(SYSTEM, "posts", filters={"n": 1})
    rename(posts, "elsewhere", "unindexed_scans")
    assert page.total == 1
    assert "field n" in caplog.text


def rename(room, before, after):
    with room.database.write() as work:
        work.connection.exec_driver_sql(f"ALTER TABLE {before} RENAME TO {after}")


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True, scope="session")
def test_what_goes_through_a_large_collection_is_read_where_others_are_not_kept_waiting(
    posts, monkeypatch
):
    database, read = posts.database, []
    rows = database.scanner.rows
    monkeypatch.setattr(database.scanner, "rows", lambda *given: read.append(1) or rows(*given))

    def list_by(**filters):
        read.clear()
        found = posts.records.list(SYSTEM, "posts", filters=filters, limit=1)
        return found.total, len(read)

    assert list_by(text="a") == (5, 0)  # now it is known to be large
    assert list_by(text="a") == (5, 2)
    assert list_by(known="1") == (1, 0)
