"""Lists: what can be asked for, and what is refused. Answers: test_record_queries."""

from __future__ import annotations

import itertools
import json
import random
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from uuid_utils.compat import uuid7

from tinybase.actors import SYSTEM
from tinybase.collections.expressions import RECORDS
from tinybase.collections.terms import SortKey, Term, parse_sort, parse_terms
from tinybase.errors import BadRequest

TEXTS = ["", "a", "A", "aa", "ab", "B", "ä", "\uffff", "😀", "%", "_", "a%b", "a_b", "'", '"', "\\"]
UUIDS = [f"0190b6c2-0000-7000-8000-00000000000{digit}" for digit in "0ab"]
TIMES = [
    "2026-01-31T12:00:00.000000Z",
    "2026-01-31T12:00:00.000001Z",
    "0999-12-31T00:00:00.000000Z",
]
POOLS: dict[str, list[Any]] = {
    "string": TEXTS,
    "integer": [0, 1, -1, 2, 10, 2**63 - 1, -(2**63)],
    "number": [0.0, 0.1, 1.0, -1.5, 1e300, 0.30000000000000004],
    "boolean": [True, False],
    "datetime": TIMES,
    "date": ["2026-01-31", "2026-02-01", "0999-01-01"],
    "email": ["a@b.de", "B@b.de"],
    "url": ["http://a", "https://b.de/?q=%25"],
    "uuid": UUIDS,
    "enum": ["x", "y"],
    "json": ["a", 1, None, [1], {"a": 1}, True],
    "dict": [{}, {"a": 1}],
}
ITEMS = [*TEXTS[:6], 0, 1, 1.5, True, False, None, ["a"], {"a": 1}, "1", "true", "null"]
SCALARS = [name for name in POOLS if name not in ("json", "dict")]
COMPARED = [name for name in SCALARS if name not in ("boolean", "uuid")]
TEXTUAL = ["string", "email", "url", "enum"]

FIELDS = [
    *({"name": name, "type": name, "indexed": name in SCALARS} for name in POOLS if name != "enum"),
    {"name": "enum", "type": "enum", "values": ["x", "y"]},
    {"name": "anything", "type": "list"},
    {"name": "numbers", "type": "list[int]"},
    {"name": "flags", "type": "list[bool]"},
]

EVERYTHING: dict[str, Any] = {
    "filters": (),
    "sort": [SortKey("created_at", descending=True)],
    "limit": 100,
    "offset": 0,
    "cursor": None,
    "count": True,
    "fields": None,
}


@pytest.fixture(scope="module")
def stored(shared_room):
    """Return sixty records with every kind of value, in the order of their making."""
    choose = random.Random(7)
    shared_room.make("things", *FIELDS)
    shared_room.make("others", *FIELDS)
    documents = []
    for _ in range(60):
        document = {name: choose.choice([*pool, None]) for name, pool in POOLS.items()}
        document["anything"] = choose.sample(ITEMS, 3)
        document["numbers"] = choose.choices([0, 1, 2], k=2)
        document["flags"] = choose.choices([True, False], k=choose.randrange(3))
        documents.append(document)
    shared_room.fill("others", *documents[:5])
    for document in documents:
        shared_room.fill("things", document)
    page = shared_room.records.list(SYSTEM, "things", sort="created_at")
    assert [record.data for record in page.records] == documents
    return page.records


@pytest.mark.parametrize(
    ("field", "text", "found"),
    [
        ("anything", "a", lambda items: "a" in items),
        ("anything", "null", lambda items: "null" in items),
        ("anything", "", lambda items: "" in items),
        ("anything", "1.5", lambda items: 1.5 in items),
        ("anything", "1", lambda items: bool({"1", "int 1"} & set(map(tagged, items)))),
        ("anything", "true", lambda items: "true" in items or any(item is True for item in items)),
        ("anything", '["a"]', lambda items: False),
        ("numbers", "2", lambda items: 2 in items),
        ("numbers", "7", lambda items: False),
        ("flags", "no", lambda items: False in items),
        ("flags", "1", lambda items: True in items),
    ],
)  # fmt: skip
def test_contains_looks_for_a_list_item(shared_room, stored, field, text, found):
    expected = [record.id for record in stored if found(record.data[field])]
    page = shared_room.records.list(
        SYSTEM, "things", filters={field: {"contains": text}}, sort="created_at"
    )
    assert [record.id for record in page.records] == expected


def tagged(item: Any) -> Any:
    return f"int {item}" if type(item) is int else str(item)


def test_a_text_is_found_without_an_index_however_it_is_stored(room):
    texts = [
        "plain", "Plain", "", "50%", "50_", "505", 'say "so"', "back\\slash", "a/b", "<a&b>",
        "it's", "tab\t", "line\nbreak", "\x7f", "ü", "\N{SNOWMAN}", "\U0001f600", "null", "7",
        "x" * 5_000,
    ]  # fmt: skip
    room.make("posts", {"name": "text", "type": "string"})
    room.fill("posts", *({"text": text} for text in texts), {"text": None})
    # As other writers of JSON spell it.
    collection_id = room.collections.get("posts").id
    spelled = [{"text": text} for text in texts]
    with room.database.write() as work:
        rows = [{"id": uuid7(), "collection_id": collection_id, "data": each} for each in spelled]
        work.connection.execute(RECORDS.insert(), rows)
    for text in texts:
        page = room.records.list(SYSTEM, "posts", filters={"text": text})
        assert [record.data["text"] for record in page.records] == [text, text]
        assert page.total == 2


def test_the_newest_record_is_first(room):
    room.make("log", {"name": "n", "type": "int"})
    room.fill("log", *({"n": n} for n in range(300)))
    page = room.records.list(SYSTEM, "log", limit=300)
    assert [record.data["n"] for record in page.records] == list(range(299, -1, -1))


def test_the_count_can_be_left_out(shared_room, stored):
    page = shared_room.records.list(SYSTEM, "things", count=False, limit=3)
    assert (len(page.records), page.total) == (3, None)


def test_every_page_says_how_many_records_the_whole_list_has(room):
    room.make("log", {"name": "n", "type": "int"})
    room.fill("log", *({"n": n} for n in range(7)))
    filters = {"n": {"gte": 1}}

    def total(**page: Any) -> int | None:
        return room.records.list(SYSTEM, "log", filters=filters, **page).total

    assert [total(limit=limit) for limit in (1, 5, 6, 7)] == [6, 6, 6, 6]
    assert [total(limit=4, offset=offset) for offset in (1, 3, 6, 9)] == [6, 6, 6, 6]
    first = room.records.list(SYSTEM, "log", filters=filters, limit=4)
    assert total(limit=4, cursor=first.next_cursor) == 6
    assert room.records.list(SYSTEM, "log", filters={"n": 9}).total == 0


def test_a_total_is_right_whoever_has_written_in_the_meantime(make_room):
    room, elsewhere = make_room(), make_room()
    room.make("log", {"name": "n", "type": "int"})

    def total() -> int | None:
        page = room.records.list(SYSTEM, "log", filters={"n": {"gte": 1}}, limit=1)
        assert page.next_cursor is not None
        return page.total

    # By single statements, which share their connections with those that read,
    ids = room.fill("log", *({"n": n} for n in range(4)))
    assert [total(), total()] == [3, 3]
    room.records.update(SYSTEM, "log", ids[0], {"n": 1})
    assert [total(), total()] == [4, 4]
    # by an ordinary transaction, and by another process;
    with room.database.write() as work:
        work.connection.execute(RECORDS.delete().where(RECORDS.c.id == ids[0]))
    assert [total(), total()] == [3, 3]
    elsewhere.fill("log", {"n": 9}, {"n": 9})
    assert [total(), total()] == [5, 5]
    # in a transaction it is what that has so far, and afterwards what is left of it.
    with suppress(ZeroDivisionError), room.database.together(lambda _: None):
        assert total() == 5
        room.fill("log", {"n": 9})
        assert [total(), total()] == [6, 6]
        raise ZeroDivisionError
    assert total() == 5


def test_a_list_that_nobody_has_changed_is_counted_once_on_sqlite(room):
    room.make("log", {"name": "n", "type": "int"})
    room.fill("log", *({"n": n} for n in range(4)))
    with room.watched() as statements:
        for value in (1, 2, 1, 2, 1):
            room.records.list(SYSTEM, "log", filters={"n": {"gte": value}}, limit=1)
    counted = sum("count(*)" in text for text, _ in statements)
    assert counted == (2 if room.database.engine.dialect.name == "sqlite" else 5)


def test_system_fields_can_be_filtered_by(shared_room, stored):
    def ids(**filters: Any) -> list[Any]:
        page = shared_room.records.list(SYSTEM, "things", filters=filters, sort="created_at")
        return [record.id for record in page.records]

    middle = stored[30]
    assert ids(id=str(middle.id).upper()) == [middle.id]
    assert ids(created_at={"gt": middle.created_at.isoformat()}) == [r.id for r in stored[31:]]
    assert ids(created_at=middle.created_at) == [middle.id]
    assert ids(version={"in": "1,2"}) == [record.id for record in stored]
    assert ids(version={"gt": 1}) == []
    assert ids(owner_id={"null": "true"}) == [record.id for record in stored]
    zone = middle.created_at.astimezone(UTC) - timedelta(0)
    assert ids(updated_at={"lte": datetime.isoformat(zone)}) == [r.id for r in stored[:31]]


def test_a_field_with_the_name_of_a_system_field_is_addressed_below_data(room):
    room.make("odd", {"name": "version", "type": "string"}, {"name": "id", "type": "int"})
    room.fill("odd", {"version": "b", "id": 1}, {"version": "a", "id": 2})

    def found(sort: str = "-created_at", **filters: Any) -> list[int]:
        page = room.records.list(SYSTEM, "odd", filters=filters, sort=sort)
        return [record.data["id"] for record in page.records]

    assert found(**{"data.version": "a"}) == [2]
    assert found(version=1) == [2, 1]
    assert found("data.version") == [2, 1]
    assert found("data.id") == [1, 2]


IDENTITY = frozenset({"eq", "ne", "in", "nin", "null"})
ORDER = IDENTITY | {"gt", "gte", "lt", "lte"}
PARTS = ORDER | {"contains", "startswith"}
OPERATORS_OF = {
    "boolean": IDENTITY,
    "uuid": IDENTITY,
    "json": {"null"},
    "dict": {"null"},
    "anything": {"null", "contains"},
    **dict.fromkeys(("integer", "number", "datetime", "date", "created_at"), ORDER),
    **dict.fromkeys(("string", "email", "url", "enum"), PARTS),
}
GOOD = {"boolean": "true", "uuid": UUIDS[0], "integer": "1", "number": "1", "date": "2026-01-01"}
GOOD |= {"datetime": "2026-01-01", "created_at": "2026-01-01"}
EVERY = ["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "startswith", "null"]


@pytest.mark.parametrize(
    ("field", "operator"),
    [*itertools.product(OPERATORS_OF, [*EVERY, "EQ", "", "like", "__class__"])],
)
def test_an_operator_that_a_type_lacks_is_refused(shared_room, stored, field, operator):
    value = "true" if operator == "null" else GOOD.get(field, "x")
    pairs = [(f"filter[{field}][{operator}]", value)]
    if operator in OPERATORS_OF[field]:
        shared_room.records.list(SYSTEM, "things", filters=parse_terms(pairs))
        return
    assert refusal(shared_room, filters=parse_terms(pairs)) == "invalid_filter"


@pytest.mark.parametrize(
    ("field", "values"),
    list(
        {
            "integer": ["", "x", "1.5", "9" * 30, " 1", "1_0", "0x1", "true"],
            "number": ["", "nan", "inf", "1e999", "x"],
            "boolean": ["", "2", "maybe"],
            "datetime": ["", "yesterday", "2026-13-01"],
            "date": ["", "2026-1-1", "2026-02-30", "20260131"],
            "uuid": ["", "x", "0190b6c2"],
            "id": ["", "1"],
            "version": ["", "x"],
            "created_at": ["", "x"],
        }.items()
    ),
)
def test_a_value_that_is_none_of_its_type_is_refused(shared_room, stored, field, values):
    for value in values:
        for operator in ("eq", "ne", "in", "nin"):
            pairs = [(f"filter[{field}][{operator}]", value)]
            assert refusal(shared_room, filters=parse_terms(pairs)) == "invalid_filter", value


@pytest.mark.parametrize(
    "name", ["nope", "", "data", "data.", "data.nope", "data.data.string", "STRING"]
)
def test_an_unknown_field_is_refused(shared_room, stored, name):
    assert refusal(shared_room, filters=[Term(name, "eq", ("x",))]) == "invalid_filter"
    assert refusal(shared_room, sort=[SortKey(name)]) == "invalid_sort"


@pytest.mark.parametrize("name", ["json", "dict", "anything", "data.flags"])
def test_what_is_no_scalar_cannot_be_sorted_by(shared_room, stored, name):
    assert refusal(shared_room, sort=[SortKey(name)]) == "invalid_sort"


def test_lists_of_lists_cannot_be_looked_into(room):
    room.make("odd", {"name": "rows", "type": "list", "items": "list"})
    with pytest.raises(BadRequest):
        room.records.list(SYSTEM, "odd", filters={"rows": {"contains": "a"}})


def refusal(room: Any, **query: Any) -> str:
    with pytest.raises(BadRequest) as caught:
        room.records.list(SYSTEM, "things", **query)
    return caught.value.code


def test_filter_terms_are_parsed():
    pairs = [
        ("filter[a]", "x"),
        ("filter[a][eq]", "y"),
        ("filter[b][in]", r"p,q\,r"),
        ("filter[b][in]", r"s\\,t\n"),
        ("filter[c][in]", ""),
        ("limit", "3"),
    ]
    assert parse_terms(pairs) == [
        Term("a", "eq", ("x",)),
        Term("a", "eq", ("y",)),
        Term("b", "in", ("p", "q,r", "s\\", r"t\n")),
        Term("c", "in", ("",)),
    ]


def test_a_term_with_one_value_cannot_be_repeated():
    with pytest.raises(BadRequest) as caught:
        parse_terms([("filter[a][gt]", "1"), ("filter[a][gt]", "2")])
    assert caught.value.code == "duplicate_parameter"


def test_terms_values_and_sort_keys_are_limited():
    terms = [(f"filter[f{index}]", "") for index in range(21)]
    assert len(parse_terms(terms[:20])) == 20
    values = ",".join("x" * 101)
    for pairs in (terms, [("filter[a][in]", values)], [("filter[a][in]", "x")] * 101):
        with pytest.raises(BadRequest) as caught:
            parse_terms(pairs)
        assert caught.value.code == "invalid_filter"
    assert len(parse_sort("a,b,c,d,e")) == 5
    with pytest.raises(BadRequest) as caught:
        parse_sort("a,b,c,d,e,f")
    assert caught.value.code == "invalid_sort"


@pytest.mark.parametrize("times", [1, 2], ids=["first", "again"])
def test_a_page_shows_each_record_as_it_is_alone_whoever_owns_it_and_whenever_it_was_made(
    room, times
):
    names = [{"name": "title", "type": "string"}]
    room.make("notes", *names)
    people = [SYSTEM, room.user(), room.user(), SYSTEM]
    for number, actor in enumerate(people):
        room.records.create(actor, "notes", {"title": f"%s {number} %(x)s \\"})
    schema = {"fields": [*names, {"name": "later", "type": "integer"}]}
    room.collections.update("notes", schema=schema)
    for actor in people:
        room.records.create(actor, "notes", {"title": "{}", "later": 1})

    for _ in range(times):
        content = room.records.answer_list(SYSTEM, "notes", **EVERYTHING).content

    shown = json.loads(content)["records"]
    assert [record["owner_id"] is None for record in shown] == [True, False, False, True] * 2
    assert [record["data"].get("later", "missing") for record in shown] == [1] * 4 + [None] * 4
    assert shown == [
        json.loads(room.records.answer(SYSTEM, "notes", UUID(record["id"])).content)
        for record in shown
    ]
