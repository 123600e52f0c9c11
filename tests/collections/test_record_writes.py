"""Creating, changing and deleting records, and what the hooks are told of it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import Text, cast, select

from tinybase.actors import SYSTEM
from tinybase.collections.expressions import RECORDS
from tinybase.collections.preconditions import Versions, parse_versions
from tinybase.db import utcnow
from tinybase.errors import (
    BadRequest,
    Conflict,
    Invalid,
    NotFound,
    PreconditionFailed,
    TinyBaseError,
)
from tinybase_hookspecs import RecordCreateEvent, RecordDeleteEvent, RecordUpdateEvent

FIELDS = (
    {"name": "title", "required": True},
    {"name": "n", "type": "int", "default": 1},
    {"name": "tags", "type": "list"},
)


@pytest.fixture
def posts(room):
    room.make("posts", *FIELDS)
    return room


def test_a_new_record_has_every_field_and_is_told(posts):
    user = posts.user()
    record = posts.records.create(user, "posts", {"title": "a", "n": "7"})

    assert record == posts.records.get(SYSTEM, "posts", record.id)
    assert record.data == {"title": "a", "n": 7, "tags": []}
    assert record.version == 1
    assert record.created_at == record.updated_at
    assert abs(record.created_at - utcnow()) < timedelta(minutes=1)
    (event,) = posts.events
    assert isinstance(event, RecordCreateEvent)
    assert (event.collection, event.record_id) == ("posts", record.id)
    assert (event.data, event.owner_id) == (record.data, user.user_id)


def test_a_record_that_is_refused_leaves_nothing(posts):
    with pytest.raises(Invalid) as caught:
        posts.fill("posts", {"n": 1})
    assert caught.value.code == "record_invalid"
    assert posts.records.list(SYSTEM, "posts").total == 0
    assert posts.events == []


def test_a_change_replaces_the_given_fields_and_keeps_the_others(posts):
    (record_id,) = posts.fill("posts", {"title": "a", "tags": [{"x": 1, "y": 2}]})
    before = posts.records.get(SYSTEM, "posts", record_id)
    after = posts.records.update(SYSTEM, "posts", record_id, {"tags": [{"x": 3}], "n": None})

    assert after.data == {"title": "a", "n": None, "tags": [{"x": 3}]}
    assert after.version == 2
    assert after.created_at == before.created_at
    assert after.updated_at > before.updated_at
    assert after == posts.records.get(SYSTEM, "posts", record_id)
    event = posts.events[-1]
    assert isinstance(event, RecordUpdateEvent)
    assert (event.old_data, event.new_data) == (before.data, after.data)


@pytest.mark.parametrize("changes", [{}, {"title": "a"}, {"n": "1"}, {"tags": []}])
def test_a_change_that_changes_nothing_is_none(posts, changes):
    (record_id,) = posts.fill("posts", {"title": "a"})
    before = posts.records.get(SYSTEM, "posts", record_id)
    assert posts.records.update(SYSTEM, "posts", record_id, changes) == before
    assert posts.records.get(SYSTEM, "posts", record_id) == before
    assert len(posts.events) == 1


@pytest.mark.parametrize(("old", "new"), [(1, True), (0, False), (1, 1.0), ([1], [True])])
def test_equal_in_python_is_not_the_same_in_json(room, old, new):
    room.make("any", {"name": "value", "type": "json"})
    (record_id,) = room.fill("any", {"value": old})
    after = room.records.update(SYSTEM, "any", record_id, {"value": new})
    assert after.version == 2
    assert repr(room.records.get(SYSTEM, "any", record_id).data["value"]) == repr(new)


def test_a_bad_change_leaves_the_record_as_it_was(posts):
    (record_id,) = posts.fill("posts", {"title": "a"})
    before = posts.records.get(SYSTEM, "posts", record_id)
    for changes in ({"title": None}, {"other": 1}, {"n": "x", "title": "b"}):
        with pytest.raises(Invalid):
            posts.records.update(SYSTEM, "posts", record_id, changes)
    assert posts.records.get(SYSTEM, "posts", record_id) == before


def test_a_whole_record_is_stored_under_an_id_or_replaced(posts):
    record_id = uuid4()
    user = posts.user()
    made, is_new = posts.records.replace(user, "posts", record_id, {"title": "a", "n": 5})
    assert (is_new, made.id, made.version, made.owner_id) == (True, record_id, 1, user.user_id)

    put, is_new = posts.records.replace(user, "posts", record_id, {"title": "b"})
    assert (is_new, put.version, put.created_at) == (False, 2, made.created_at)
    assert put.data == {"title": "b", "n": 1, "tags": []}
    assert put == posts.records.get(SYSTEM, "posts", record_id)
    same, is_new = posts.records.replace(SYSTEM, "posts", record_id, {"title": "b", "n": "1"})
    assert (is_new, same) == (False, put)
    assert [type(event) for event in posts.events] == [RecordCreateEvent, RecordUpdateEvent]


def test_replacing_heeds_versions(posts):
    record_id = uuid4()

    def put(**options: Any) -> Any:
        return posts.records.replace(SYSTEM, "posts", record_id, {"title": "a"}, **options)

    with pytest.raises(PreconditionFailed) as caught:
        put(if_match=Versions(any=True))
    assert caught.value.members == {}
    put(only_new=True)
    for options in ({"only_new": True}, {"if_match": Versions.of(2)}):
        with pytest.raises(PreconditionFailed) as caught:
            put(**options)
        assert caught.value.members == {"current_version": 1}
    put(if_match=Versions.of(1))


def test_replacing_without_a_version_can_be_forbidden(room):
    room.make("posts", *FIELDS, require_if_match=True)
    record_id = uuid4()
    for _ in range(2):
        with pytest.raises(TinyBaseError) as caught:
            room.records.replace(SYSTEM, "posts", record_id, {"title": "a"})
        assert caught.value.status == 428
        if room.records.list(SYSTEM, "posts").total == 0:
            room.records.replace(SYSTEM, "posts", record_id, {"title": "a"}, only_new=True)


def test_an_id_of_another_collection_cannot_be_taken(posts):
    posts.make("other")
    (record_id,) = posts.fill("other", {})
    with pytest.raises(Conflict) as caught:
        posts.records.replace(SYSTEM, "posts", record_id, {"title": "a"})
    assert caught.value.code == "id_conflict"
    assert posts.records.get(SYSTEM, "other", record_id).version == 1


@pytest.mark.parametrize(
    ("create", "update", "missing", "own", "others"),
    [
        ("auth", "owner", "ok", "ok", "not_found"),
        ("admin", "owner", "not_found", "ok", "not_found"),
        ("auth", "admin", "ok", "forbidden", "not_found"),
        ("admin", "admin", "forbidden", "forbidden", "forbidden"),
        ("admin", "auth", "not_found", "ok", "ok"),
    ],
)
def test_replacing_follows_two_rules(room, create, update, missing, own, others):
    rules = {"read": "owner", "create": create, "update": update}
    room.make("posts", *FIELDS, access=rules)
    user = room.user()
    mine = room.records.create(SYSTEM, "posts", {"title": "a"}, owner_id=user.user_id).id
    (theirs,) = room.fill("posts", {"title": "b"})

    def outcome(record_id: UUID) -> str:
        try:
            room.records.replace(user, "posts", record_id, {"title": "c"})
        except TinyBaseError as error:
            return error.code
        return "ok"

    assert (outcome(uuid4()), outcome(mine), outcome(theirs)) == (missing, own, others)


def test_a_deleted_record_is_gone_and_told_with_its_last_content(posts):
    (record_id,) = posts.fill("posts", {"title": "a"})
    posts.records.delete(SYSTEM, "posts", record_id)

    with pytest.raises(NotFound):
        posts.records.get(SYSTEM, "posts", record_id)
    with pytest.raises(NotFound):
        posts.records.delete(SYSTEM, "posts", record_id)
    event = posts.events[-1]
    assert isinstance(event, RecordDeleteEvent)
    assert (event.record_id, event.data["title"]) == (record_id, "a")
    assert len(posts.events) == 2


def test_deleting_a_collection_tells_of_every_record(posts):
    ids = posts.fill("posts", *({"title": str(n)} for n in range(5)))
    posts.collections.delete("posts")
    deleted = [event.record_id for event in posts.events if isinstance(event, RecordDeleteEvent)]
    assert sorted(deleted) == sorted(ids)

    posts.make("posts", *FIELDS)
    assert posts.records.list(SYSTEM, "posts").total == 0


@pytest.mark.parametrize("action", ["update", "delete"])
def test_a_write_for_another_version_is_refused_and_says_which_there_is(posts, action):
    (record_id,) = posts.fill("posts", {"title": "a"})
    posts.records.update(SYSTEM, "posts", record_id, {"n": 2})

    def write(versions: Versions) -> Any:
        if action == "delete":
            return posts.records.delete(SYSTEM, "posts", record_id, if_match=versions)
        return posts.records.update(SYSTEM, "posts", record_id, {"n": 3}, if_match=versions)

    for stale in (Versions.of(1), Versions.of(), Versions.of(3, 4)):
        with pytest.raises(PreconditionFailed) as caught:
            write(stale)
        assert caught.value.members == {"current_version": 2}
    assert posts.records.get(SYSTEM, "posts", record_id).version == 2
    write(Versions.of(1, 2))


def test_any_version_will_do_for_a_star(posts):
    (record_id,) = posts.fill("posts", {"title": "a"})
    posts.records.update(SYSTEM, "posts", record_id, {"n": 2}, if_match=Versions(any=True))


def test_the_current_version_is_told_to_readers_only(room):
    room.make("box", {"name": "n", "type": "int"}, access={"read": "admin", "update": "auth"})
    (record_id,) = room.fill("box", {})
    with pytest.raises(PreconditionFailed) as caught:
        room.records.update(room.user(), "box", record_id, {"n": 1}, if_match=Versions.of(7))
    assert caught.value.members == {}


def test_a_collection_can_insist_on_a_version(room):
    room.make("posts", *FIELDS, require_if_match=True)
    (record_id,) = room.fill("posts", {"title": "a"})
    for write in (
        lambda: room.records.update(SYSTEM, "posts", record_id, {"n": 2}),
        lambda: room.records.delete(SYSTEM, "posts", record_id),
    ):
        with pytest.raises(TinyBaseError) as caught:
            write()
        assert caught.value.status == 428
    room.records.delete(SYSTEM, "posts", record_id, if_match=Versions.of(1))


@pytest.mark.parametrize(
    ("type_", "value", "other"),
    [
        ("string", "a", "A"),
        ("int", 1, 2),
        ("number", 1, 1.5),
        ("boolean", True, False),
        ("datetime", "2026-01-01T00:00Z", "2026-01-01T00:00:00.000001Z"),
        ("date", "2026-01-01", "2026-01-02"),
        ("email", "a@b.de", "A@b.de"),
        ("uuid", "0190B6C2-0000-7000-8000-00000000000A", "0190b6c2-0000-7000-8000-00000000000b"),
    ],
)
def test_no_two_records_share_the_value_of_a_unique_field(room, type_, value, other):
    field = {"name": "key", "type": type_, "unique": True}
    room.make("one", field, {"name": "KEY", "type": type_})
    room.make("two", field)
    first, second, _, _ = room.fill("one", {"key": value}, {"key": other}, {}, {"key": None})
    room.fill("two", {"key": value})

    for write in (
        lambda: room.fill("one", {"key": value}),
        lambda: room.records.update(SYSTEM, "one", second, {"key": value}),
    ):
        with pytest.raises(Conflict) as caught:
            write()
        assert caught.value.code == "unique_violation"
        assert "'key'" in caught.value.detail
    room.records.update(SYSTEM, "one", first, {"key": None})
    room.records.update(SYSTEM, "one", second, {"key": value})


def test_each_of_several_unique_fields_is_named(room):
    room.make("one", *({"name": name, "unique": True} for name in ("a", "A", "b")))
    room.fill("one", {"a": "1", "A": "2", "b": "3"})
    for name, value in (("a", "1"), ("A", "2"), ("b", "3")):
        with pytest.raises(Conflict) as caught:
            room.fill("one", {name: value})
        assert caught.value.members == {"field": name}


@pytest.mark.parametrize(
    ("header", "versions"),
    [
        (None, None),
        ("*", Versions(any=True)),
        (' "3" ', Versions.of(3)),
        ('"1", "2"', Versions.of(1, 2)),
        ('"1",W/"2"', Versions.of(1)),
        ('"abc"', Versions.of()),
        ('""', Versions.of()),
        ('"99999999999999999999"', Versions.of()),
    ],
)
def test_if_match_is_understood(header, versions):
    assert parse_versions(header, "If-Match") == versions


def test_a_weak_tag_counts_where_it_may():
    assert parse_versions('W/"3"', "If-None-Match", weak=True) == Versions.of(3)


@pytest.mark.parametrize(
    "header", ["", "3", '"3', "'3'", '"3" "4"', '"3",', "*,*", 'w/"3"', '"a b"']
)
def test_a_malformed_if_match_is_refused(header):
    with pytest.raises(BadRequest) as caught:
        parse_versions(header, "If-Match")
    assert caught.value.code == "invalid_header"


@pytest.mark.parametrize("name", ["", "A", "1a", "a-b", "a" * 101, "a b", "ä", "a\n"])
def test_a_bad_collection_name_is_refused(room, name):
    with pytest.raises(Invalid) as caught:
        room.collections.create(name)
    assert [fault.loc for fault in caught.value.faults] == [("body", "name")]


@pytest.mark.parametrize("name", ["a", "a_1", "select", "records", "a" * 100])
def test_a_good_collection_name_is_taken_once(room, name):
    assert room.collections.create(name).label == name
    with pytest.raises(BadRequest) as caught:
        room.collections.create(name)
    assert (caught.value.code, caught.value.status) == ("collection_exists", 400)


def test_schema_and_options_are_returned_as_given(room):
    schema = {"fields": [{"type": "STR", "name": "a", "default": None}]}
    options = {"access": {"create": "auth"}, "x_note": [1, {"b": 2}]}
    room.collections.create("posts", label="Blog", schema=schema, options=options)
    collection = room.collections.get("posts")
    assert (collection.label, collection.schema, collection.options) == ("Blog", schema, options)
    assert collection.version == 1


def test_faults_of_schema_and_options_are_told_together(room):
    with pytest.raises(Invalid) as caught:
        room.collections.create(
            "posts", schema={"fields": [{"name": "1"}]}, options={"access": {"list": "x"}}
        )
    assert [fault.loc[1] for fault in caught.value.faults] == ["schema", "options"]


def test_equal_in_python_is_not_the_same_schema(room):
    field = {"name": "a", "type": "json", "default": 1}
    room.make("posts", field)
    changed = room.collections.update("posts", schema={"fields": [{**field, "default": True}]})
    assert changed.version == 2
    assert room.records.create(SYSTEM, "posts", {}).data["a"] is True


def test_a_collection_counts_its_versions(room):
    room.collections.create("posts")
    assert room.collections.update("posts", label="Posts").version == 2
    unchanged = room.collections.update("posts", label="Posts", options={})
    assert unchanged.version == 2
    with pytest.raises(PreconditionFailed):
        room.collections.update("posts", label="New", if_match=Versions.of(1))
    assert room.collections.get("posts") == unchanged
    with pytest.raises(NotFound):
        room.collections.update("nope", label="x")
    with pytest.raises(NotFound):
        room.collections.delete("nope")


def test_records_are_stored_in_one_form_past_sqlalchemy_or_by_it(room):
    room.make("notes", {"name": "text", "type": "string"}, {"name": "n", "type": "list[int]"})
    record = room.records.create(SYSTEM, "notes", {"text": "a", "n": [1, 2]})
    with room.database.write() as work:
        stored = work.connection.execute(select(RECORDS)).one()._asdict()
        work.connection.execute(RECORDS.insert().values({**stored, "id": uuid4()}))

    with room.database.connect() as connection:
        texts = connection.scalars(select(cast(RECORDS.c.data, Text))).all()
    assert record.data == stored["data"]
    assert texts == ['{"text":"a","n":[1,2]}'] * 2
