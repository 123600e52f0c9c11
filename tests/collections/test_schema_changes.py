"""Changing the schema of a collection that has records."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from typing import Any

import pytest

from tinybase.actors import SYSTEM
from tinybase.collections import changes
from tinybase.collections.access import Operation
from tinybase.collections.changes import SchemaChange
from tinybase.errors import Conflict, Forbidden, Invalid, NotFound, TinyBaseError


def change(room: Any, *fields: dict[str, Any], **options: Any) -> Any:
    return room.collections.update("posts", schema={"fields": list(fields)}, **options)


def report(room: Any, *fields: dict[str, Any]) -> Any:
    return room.collections.check("posts", schema={"fields": list(fields)})


def documents(room: Any, **query: Any) -> list[dict[str, Any]]:
    page = room.records.list(SYSTEM, "posts", sort="created_at", **query)
    return [record.data for record in page.records]


def test_a_new_optional_field_reads_as_its_default_and_filters_see_it(room):
    room.make("posts", {"name": "a"})
    room.fill("posts", {"a": "x"}, {"a": 'ä"\\\n'})
    before = room.records.list(SYSTEM, "posts").records
    change(
        room,
        {"name": "a"},
        {"name": "n", "type": "int", "default": 7, "indexed": True},
        {"name": "tags", "type": "list"},
        {"name": "text", "default": 'it\'s "ü" 😀'},
        {"name": "none"},
    )

    extra = {"n": 7, "tags": [], "text": 'it\'s "ü" 😀', "none": None}
    assert documents(room) == [{"a": "x", **extra}, {"a": 'ä"\\\n', **extra}]
    assert len(documents(room, filters={"n": 7, "text": extra["text"]})) == 2
    assert len(documents(room, filters={"none": {"null": True}})) == 2
    after = room.records.list(SYSTEM, "posts").records
    assert [record.version for record in after] == [1, 1]
    assert [record.updated_at for record in after] == [record.updated_at for record in before]


def test_a_removed_field_is_not_shown_not_filterable_and_gone_with_the_next_write(room):
    room.make("posts", {"name": "a"}, {"name": "b"})
    (record_id,) = room.fill("posts", {"a": "x", "b": "secret"})
    change(room, {"name": "a"})

    assert documents(room) == [{"a": "x"}]
    with pytest.raises(TinyBaseError):
        documents(room, filters={"b": "secret"})
    room.records.update(SYSTEM, "posts", record_id, {"a": "y"})
    assert room.events[-1].old_data == {"a": "x"}
    change(room, {"name": "a"}, {"name": "b"})
    assert documents(room) == [{"a": "y", "b": None}]


def test_a_field_that_comes_back_reads_as_its_default(room):
    room.make("posts", {"name": "a"}, {"name": "b"})
    room.fill("posts", {"a": "x", "b": "old"})
    change(room, {"name": "a"})
    change(room, {"name": "a"}, {"name": "b", "type": "int", "default": 1})
    assert documents(room) == [{"a": "x", "b": 1}]


CONFLICTS = [
    ({"name": "a"}, {"name": "a", "type": "int"}, "5", "invalid_type"),
    ({"name": "a"}, {"name": "a", "type": "int"}, "x", "invalid_type"),
    ({"name": "a"}, {"name": "a", "required": True}, None, "null"),
    ({"name": "a"}, {"name": "a", "max_length": 2}, "abc", "too_long"),
    ({"name": "a"}, {"name": "a", "pattern": "^x"}, "abc", "pattern"),
    ({"name": "a"}, {"name": "a", "type": "enum", "values": ["b"]}, "a", "not_allowed"),
    ({"name": "a"}, {"name": "a", "type": "date"}, "yesterday", "invalid_date"),
    ({"name": "a"}, {"name": "a", "type": "datetime"}, "2026-01-01", "invalid_type"),
    ({"name": "a", "type": "int"}, {"name": "a"}, 5, "invalid_type"),
    ({"name": "a", "type": "int"}, {"name": "a", "type": "bool"}, 1, "invalid_type"),
    ({"name": "a", "type": "int"}, {"name": "a", "type": "int", "min": 6}, 5, "too_small"),
    ({"name": "a", "type": "number"}, {"name": "a", "type": "int"}, 1.5, "invalid_type"),
    ({"name": "a", "type": "list"}, {"name": "a", "type": "list[int]"}, ["1"], "invalid_type"),
]


@pytest.mark.parametrize(("old", "new", "value", "fault"), CONFLICTS)
def test_a_change_that_makes_records_invalid_is_refused_or_forced(room, old, new, value, fault):
    room.make("posts", old)
    (record_id,) = room.fill("posts", {"a": value})
    before = room.collections.get("posts")

    found = report(room, new).as_dict()
    assert (found["valid"], found["records_checked"]) == (False, 1)
    (conflict,) = found["conflicts"]
    assert conflict["record_id"] == str(record_id)
    assert [error["type"] for error in conflict["errors"]] == [fault]
    assert conflict["errors"][0]["loc"][:3] == ["body", "data", "a"]

    with pytest.raises(Conflict) as caught:
        change(room, new)
    assert caught.value.code == "schema_conflict"
    assert caught.value.members["conflicts"] == found["conflicts"]
    assert room.collections.get("posts") == before

    assert change(room, new, force=True).version == 2
    assert documents(room) == [{"a": value}]
    assert change(room, new, {"name": "b"}).version == 3, "what was forced stays as it is"


COMPATIBLE = [
    ({"name": "a", "type": "int"}, {"name": "a", "type": "number"}, 5),
    ({"name": "a", "type": "number"}, {"name": "a", "type": "int"}, 5.0),
    ({"name": "a", "type": "int", "min": 3}, {"name": "a", "type": "int", "min": 1}, 5),
    ({"name": "a", "required": True}, {"name": "a"}, "x"),
    ({"name": "a"}, {"name": "a", "type": "json"}, "x"),
    ({"name": "a"}, {"name": "a", "type": "email"}, "a@b.de"),
    ({"name": "a"}, {"name": "a", "type": "int"}, None),
    ({"name": "a", "type": "list"}, {"name": "a", "type": "list", "min_length": 1}, []),
    ({"name": "a"}, {"name": "a", "default": "x", "label": "A", "strict": True}, None),
]


@pytest.mark.parametrize(("old", "new", "value"), COMPATIBLE)
def test_a_change_that_the_records_bear_is_made(room, old, new, value):
    room.make("posts", old)
    (record_id,) = room.fill("posts", {"a": value} if value != [] else {})
    assert report(room, new).as_dict() == {"valid": True, "records_checked": 1, "conflicts": []}
    change(room, new)
    assert documents(room) == [{"a": value}]
    room.records.update(SYSTEM, "posts", record_id, {})


def test_a_new_required_field_without_default_is_in_the_way_of_all(room):
    room.make("posts", {"name": "a"})
    (record_id,) = room.fill("posts", {"a": "x"})
    new = ({"name": "a"}, {"name": "b", "required": True})
    with pytest.raises(Conflict):
        change(room, *new)
    change(room, *new, force=True)

    assert documents(room) == [{"a": "x", "b": None}]
    with pytest.raises(Invalid):
        room.records.update(SYSTEM, "posts", record_id, {"a": "y"})
    room.records.update(SYSTEM, "posts", record_id, {"b": "z"})
    change(
        room,
        {"name": "a"},
        {"name": "b", "required": True},
        {"name": "c", "required": True, "default": "d"},
    )
    assert documents(room) == [{"a": "x", "b": "z", "c": "d"}]


def test_properties_of_an_object_come_and_go_like_fields(room):
    old = {"name": "a", "type": "dict", "properties": [{"name": "b"}, {"name": "c"}]}
    room.make("posts", old, {"name": "rows", "type": "list", "items": {"type": "dict"}})
    (record_id,) = room.fill("posts", {"a": {"b": "x", "c": "y"}, "rows": [{"d": 1}]})
    properties = {"b": {}, "n": {"type": "int", "default": 7}}
    new = {"name": "a", "type": "dict", "properties": properties}
    rows = {"name": "rows", "type": "list", "items": {"type": "dict", "properties": properties}}
    change(room, new, rows)

    expected = {"a": {"b": "x", "n": 7}, "rows": [{"b": None, "n": 7}]}
    assert documents(room) == [expected]
    assert room.records.update(SYSTEM, "posts", record_id, {"rows": []}).data["rows"] == []


def test_only_the_first_twenty_conflicts_are_told(room):
    room.make("posts", {"name": "a"})
    ids = room.fill("posts", *({"a": "x"} for _ in range(25)))
    found = report(room, {"name": "a", "type": "int"})
    assert found.records_checked == 25
    assert [conflict["record_id"] for conflict in found.conflicts] == [str(id_) for id_ in ids[:20]]


def test_many_conflicts_can_be_forced_together_with_a_new_index(room):
    room.make("posts", {"name": "a", "indexed": True})
    room.fill("posts", *({"a": str(n)} for n in range(45)))
    change(room, {"name": "a", "type": "int", "unique": True}, force=True)
    with pytest.raises(Conflict):
        room.collections.update("posts", schema={"fields": [{"name": "a", "type": "bool"}]})
    assert len(documents(room)) == 45


def test_duplicates_cannot_be_forced(room):
    room.make("posts", {"name": "a"})
    ids = room.fill("posts", {"a": "x"}, {"a": "y"}, {"a": "x"}, {}, {})
    unique = {"name": "a", "unique": True}
    found = report(room, unique).as_dict()
    assert [conflict["record_id"] for conflict in found["conflicts"]] == [str(ids[0]), str(ids[2])]
    for force in (False, True):
        with pytest.raises(Conflict) as caught:
            change(room, unique, force=force)
        assert caught.value.code == "schema_conflict"

    room.records.delete(SYSTEM, "posts", ids[2])
    change(room, unique)
    with pytest.raises(Conflict):
        room.fill("posts", {"a": "y"})
    change(room, {"name": "a"})
    room.fill("posts", {"a": "y"})


def test_a_unique_default_is_a_duplicate_as_soon_as_there_are_two_records(room):
    room.make("posts", {"name": "a"})
    room.fill("posts", {})
    new = {"name": "b", "unique": True, "default": "x"}
    assert report(room, {"name": "a"}, new).as_dict()["valid"]
    room.fill("posts", {})
    with pytest.raises(Conflict):
        change(room, {"name": "a"}, new, force=True)
    change(room, {"name": "a"}, {"name": "b", "unique": True})


def test_a_dry_run_changes_nothing(room):
    room.make("posts", {"name": "a"})
    room.fill("posts", {"a": "x"})
    before = room.collections.get("posts")
    report(room, {"name": "b", "default": "x"})
    assert room.collections.get("posts") == before
    assert documents(room) == [{"a": "x"}]


def test_a_refused_change_leaves_no_trace_in_what_is_remembered(room):
    room.make("posts", {"name": "a"})
    room.fill("posts", {"a": "x"})
    with pytest.raises(Conflict):
        change(room, {"name": "a", "type": "int"})
    change(room, {"name": "a"}, {"name": "b"})
    assert documents(room) == [{"a": "x", "b": None}]


def test_another_process_sees_a_change_at_once(make_room):
    one, other = make_room(), make_room()
    one.make("posts", {"name": "a"})
    one.fill("posts", {"a": "x"})
    assert documents(other) == [{"a": "x"}]
    change(one, {"name": "a"}, {"name": "b", "type": "int", "default": 1})
    assert documents(other) == [{"a": "x", "b": 1}]
    other.fill("posts", {"a": "y", "b": 2})
    one.collections.delete("posts")
    with pytest.raises(TinyBaseError):
        documents(other)


def test_a_collection_that_was_read_before_a_change_is_not_written_by(room):
    room.make("posts", {"name": "a"})
    user = room.user()
    stale = room.records.admit(SYSTEM, "posts", Operation.CREATE)
    stale_to_user = room.records.admit(user, "posts", Operation.CREATE)
    change(room, {"name": "b", "type": "int", "required": True})
    with pytest.raises(Invalid):
        room.records.create(SYSTEM, stale, {"a": "x"})
    assert room.records.create(SYSTEM, stale, {"b": 1}).data == {"b": 1}
    room.collections.update("posts", options={"access": {"create": "admin"}})
    with pytest.raises(TinyBaseError):
        room.records.create(user, stale_to_user, {"b": 1})


def test_what_fitted_a_collection_that_was_seen_has_to_fit_it_as_it_is(room):
    room.make("posts", {"name": "a"}, access={"create": "auth"})
    user = room.user()
    stale = room.records.admit(user, "posts", Operation.CREATE)
    change(room, {"name": "a"}, {"name": "b", "default": "new"})
    assert room.records.create(user, stale, {"a": "x"}).data == {"a": "x", "b": "new"}
    room.collections.update("posts", options={"access": {"create": "admin"}})
    with pytest.raises(Forbidden):
        room.records.create(user, stale, {"a": "x"})
    room.collections.delete("posts")
    with pytest.raises(NotFound):
        room.records.create(user, stale, {"a": "x"})


def after_each_write(
    room: Any, monkeypatch: pytest.MonkeyPatch, what: Callable[[], object]
) -> None:
    """Have two records filled in each transaction, and something done after it."""
    write = room.database.write

    @contextmanager
    def write_and_then() -> Any:
        with write() as work:
            yield work
        what()

    monkeypatch.setattr(changes, "_FILLED_AT_ONCE", 2)
    monkeypatch.setattr(room.database, "write", write_and_then)


def test_others_write_while_many_records_are_given_a_new_field(make_room, monkeypatch):
    room, other = make_room(), make_room()
    room.make("posts", {"name": "a"})
    room.fill("posts", *({"a": str(n)} for n in range(7)))
    meanwhile = []

    def let_others() -> None:
        if len(meanwhile) < 3:
            meanwhile.extend(other.fill("posts", {"a": "new"}))

    after_each_write(room, monkeypatch, let_others)
    field = {"name": "b", "default": "é", "indexed": True}
    change(room, {"name": "a"}, field, {"name": "c", "type": "list"})

    assert len(meanwhile) == 3, "it was one transaction"
    found = documents(room, filters={"b": "é"})
    assert len(found) == 10
    assert all(document["c"] == [] for document in found)


@pytest.mark.parametrize("databases", ["sqlite"], indirect=True, scope="session")
def test_who_was_quicker_with_the_same_field_loses_nothing(make_room, monkeypatch):
    room, other = make_room(), make_room()
    room.make("posts", {"name": "a"})
    room.fill("posts", *({"a": str(n)} for n in range(7)))
    quicker = []

    def be_overtaken() -> None:
        if not quicker:
            quicker.append(change(other, {"name": "a"}, {"name": "b"}))
            other.fill("posts", {"a": "new", "b": "mine"})

    after_each_write(room, monkeypatch, be_overtaken)
    change(room, {"name": "a"}, {"name": "b", "default": "x"})

    assert quicker
    assert [document["b"] for document in documents(room)][-1] == "mine"


def test_a_change_that_fills_nothing_goes_through_no_records(room, monkeypatch):
    room.make("posts", {"name": "a"})
    room.fill("posts", *({"a": str(n)} for n in range(7)))
    monkeypatch.setattr(changes, "_FILLED_AT_ONCE", 2)
    with room.watched() as statements:
        change(room, {"name": "a", "label": "A"}, {"name": "b"})
    assert not [text for text, _ in statements if "OFFSET" in text]


@pytest.mark.parametrize("ask", [change, report])
def test_nobody_has_to_wait_while_the_records_are_checked(make_room, monkeypatch, ask):
    room, other = make_room(), make_room()
    room.make("posts", {"name": "a"})
    check, checks = SchemaChange.report, []

    def check_and_let_others(self: SchemaChange, connection: Any) -> Any:
        if not checks:
            checks.extend(other.fill("posts", {"a": "new"}))
        return check(self, connection)

    monkeypatch.setattr(SchemaChange, "report", check_and_let_others)
    ask(room, {"name": "a", "max_length": 3})
    assert checks


@pytest.mark.parametrize(
    ("field", "later", "value"),
    [
        ({"name": "b"}, {"name": "b", "default": "x"}, None),
        ({"name": "b", "type": "int"}, {"name": "b", "type": "int", "default": 0}, None),
        ({"name": "b", "type": "bool", "default": True}, {"name": "b", "type": "bool"}, True),
        ({"name": "b", "type": "list"}, {"name": "b", "type": "list", "default": ["x"]}, []),
    ],
)
def test_a_later_default_is_not_that_of_older_records(room, field, later, value):
    room.make("posts", {"name": "a"})
    (first,) = room.fill("posts", {"a": "x"})
    change(room, {"name": "a"}, field)
    change(room, {"name": "a"}, later)

    assert room.records.get(SYSTEM, "posts", first).data == {"a": "x", "b": value}
    (second,) = room.fill("posts", {"a": "y"})
    of_later = later.get("default")
    assert room.records.get(SYSTEM, "posts", second).data == {"a": "y", "b": of_later}
    if field.get("type") != "list":
        assert documents(room, filters={"b": value if value is not None else {"null": True}})[
            0
        ] == {
            "a": "x",
            "b": value,
        }


NEW = [
    {"name": "flag", "type": "bool", "default": True},
    {"name": "whole", "type": "int", "default": 1},
    {"name": "number", "type": "number", "default": 1.5},
    {"name": "text", "default": "1"},
    {"name": "any", "type": "json"},
    {"name": "list", "type": "list[int]", "default": [1]},
]


def test_nothing_of_an_earlier_field_is_left_in_a_new_one(room):
    names = [field["name"] for field in NEW]
    room.make("posts", *({"name": name, "type": "json"} for name in names))
    left = [0, 1, 1.0, 1.5, "1", True, [1], {"a": 1}, None]
    room.fill("posts", *(dict.fromkeys(names, value) for value in left))
    change(room)
    change(room, *NEW)

    expected = {field["name"]: field.get("default") for field in NEW}
    for document in documents(room):
        assert document == expected
        assert list(map(type, document.values())) == list(map(type, expected.values()))
