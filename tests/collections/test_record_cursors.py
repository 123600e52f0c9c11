"""Keyset pages: what a cursor is bound to, and what it withstands."""

from __future__ import annotations

import base64
import json
import random
import string
from contextlib import suppress
from typing import Any
from urllib.parse import urljoin

import pytest

from tinybase.actors import SYSTEM
from tinybase.errors import BadRequest

FIELDS = [
    {"name": "n", "type": "integer", "indexed": True},
    {"name": "text", "type": "string"},
    {"name": "flag", "type": "boolean"},
    {"name": "price", "type": "number"},
]
SORTS = ["", "created_at", "n", "-n", "-n,text", "text,-n", "-flag,price", "owner_id,-price", "-id"]


def documents(count: int, seed: int = 1) -> list[dict[str, Any]]:
    choose = random.Random(seed)
    return [
        {
            "n": choose.choice([None, 1, 2, 3]),
            "text": choose.choice([None, "", "a", "😀"]),
            "flag": choose.choice([None, True, False]),
            "price": choose.choice([None, -0.0, 0.1, 1e308]),
        }
        for _ in range(count)
    ]


def page_of(room: Any, sort: str, cursor: str | None, limit: int = 3, **query: Any) -> Any:
    order = {"sort": sort} if sort else {}
    return room.records.list(SYSTEM, "posts", limit=limit, cursor=cursor, **order, **query)


@pytest.mark.parametrize("sort", SORTS)
def test_what_comes_and_goes_meanwhile_neither_hides_nor_repeats_other_records(room, sort):
    room.make("posts", *FIELDS)
    ids = room.fill("posts", *documents(24))
    order = [record.id for record in page_of(room, sort, None, limit=100).records]
    choose = random.Random(sort)
    deleted: set[Any] = set()
    found: list[Any] = []
    cursor = None
    while cursor is not None or not found:
        page = page_of(room, sort, cursor)
        found += [record.id for record in page.records]
        room.fill("posts", *documents(4 if len(found) < 40 else 0, seed=len(found)))
        # The record at which the page ended goes, and one from anywhere.
        for record_id in {found[-1], choose.choice(ids)} - deleted & set(ids):
            room.records.delete(SYSTEM, "posts", record_id)
            deleted.add(record_id)
        cursor = page.next_cursor
    assert len(found) == len(set(found))
    old = [record_id for record_id in found if record_id in set(ids)]
    assert old == [record_id for record_id in order if record_id in set(old)]
    assert set(ids) - deleted <= set(old)


@pytest.mark.parametrize("sort", ["text", "-text,n"])
def test_values_that_are_too_long_for_a_cursor_are_looked_up_again(room, sort):
    room.make("posts", *FIELDS)
    texts = [letter * length for letter in "aä😀" for length in (600, 1_000, 70_000)]
    room.fill("posts", *({"text": text, "n": 1} for text in texts), {"text": None})
    order = page_of(room, sort, None, limit=100).records
    first = page_of(room, sort, None)
    second = page_of(room, sort, first.next_cursor)
    assert max(len(first.next_cursor), len(second.next_cursor)) <= 1_024
    last = page_of(room, sort, second.next_cursor, limit=100)
    assert [*first.records, *second.records, *last.records] == order
    assert last.next_cursor is None

    changed = second.records[-1]
    room.records.update(SYSTEM, "posts", changed.id, {"text": "b" * 5_000})
    assert refusal(room, sort, second.next_cursor) == "invalid_cursor"
    room.records.delete(SYSTEM, "posts", changed.id)
    assert refusal(room, sort, second.next_cursor) == "invalid_cursor"


def refusal(room: Any, sort: str, cursor: str, **query: Any) -> str:
    with pytest.raises(BadRequest) as caught:
        page_of(room, sort, cursor, **query)
    return caught.value.code


def test_a_cursor_fits_to_one_list_only(room):
    room.make("posts", *FIELDS)
    room.make("others", *FIELDS)
    ann = room.admin()
    room.fill("posts", *documents(10))
    room.fill("others", *documents(10))
    cursor = page_of(room, "-n", None, filters={"price": {"ne": 5}}).next_cursor
    assert page_of(room, "-n", cursor, filters={"price": {"ne": 5}}, limit=1).records
    for sort, filters in (("n", {"price": {"ne": 5}}), ("-n", {"price": {"ne": 6}}), ("-n", {})):
        assert refusal(room, sort, cursor, filters=filters) == "invalid_cursor"
    for actor, name in ((ann, "posts"), (SYSTEM, "others")):
        with pytest.raises(BadRequest) as caught:
            room.records.list(actor, name, sort="-n", filters={"price": {"ne": 5}}, cursor=cursor)
        assert caught.value.code == "invalid_cursor"


@pytest.mark.parametrize("sort", ["-n,text", "created_at", "-version,id", "flag", "price,owner_id"])
def test_a_cursor_that_was_changed_is_refused(room, sort):
    room.make("posts", *FIELDS)
    room.fill("posts", *documents(10))
    cursor = page_of(room, sort, None).next_cursor
    letters = random.Random(sort)
    alphabet = string.ascii_letters + string.digits + "-_"
    for index, letter in enumerate(cursor):
        other = letters.choice(alphabet.replace(letter, ""))
        changed = cursor[:index] + other + cursor[index + 1 :]
        if decoded(changed) != decoded(cursor):
            assert refusal(room, sort, changed) == "invalid_cursor"
    for text in ("", "x", cursor[:-4], cursor + "AAAA", "A" * 1_025, "é", "bnVsbA", "e30", "===="):
        assert refusal(room, sort, text) == "invalid_cursor"


def decoded(cursor: str) -> Any:
    try:
        return json.loads(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        return None


@pytest.mark.parametrize(
    "value",
    ["x", "", 1.5, True, [], {}, 2**63, -(2**70), "\0", "\ud800", float("nan"), float("inf"), None],
    ids=repr,
)
def test_no_value_in_a_cursor_is_a_fault_of_the_server(room, monkeypatch, value):
    room.make("posts", *FIELDS)
    room.fill("posts", *documents(6))
    # Whoever reads the source can make the digest of any values.
    monkeypatch.setattr("tinybase.collections.query_cursor.CursorCodec._digest", lambda *_: "d")
    for sort in ("n", "text", "-flag", "price", "version", "created_at", "-id", "owner_id"):
        cursor = page_of(room, sort, None).next_cursor
        content = decoded(cursor)
        for index in range(len(content["k"])):
            keys = [*content["k"]]
            keys[index] = value
            forged = json.dumps({**content, "k": keys}).encode()
            text = base64.urlsafe_b64encode(forged).decode().rstrip("=")
            with suppress(BadRequest):
                page_of(room, sort, text)


def test_a_walk_over_http_follows_the_links(client, admin):
    fields = {"schema": {"fields": [{"name": "n", "type": "int"}]}, "name": "posts"}
    assert client.post("/api/collections", json=fields, headers=admin.headers).status_code == 201
    base = "/api/collections/posts/records"
    for n in range(7):
        client.post(base, json={"n": n}, headers=admin.headers)
    url = f"{base}?filter%5Bn%5D[gte]=1&sort=n&limit=2&offset=0&fields=n&count=false"
    seen, offsets = [], []
    while url:
        answer = client.get(url, headers=admin.headers)
        body = answer.get_json()
        seen += [record["data"]["n"] for record in body["records"]]
        offsets.append(body["offset"])
        assert (body["total"], body["limit"]) == (None, 2)
        link = answer.headers.get("Link")
        assert (link is None) == (body["next_cursor"] is None)
        assert link is None or (link[0], link[-13:]) == ("<", '>; rel="next"')
        url = urljoin("/", link[1:-13]) if link else None
    assert (seen, offsets) == ([1, 2, 3, 4, 5, 6], [0, None, None])


def test_a_cursor_and_an_offset_exclude_each_other(client, admin):
    collection = {"name": "posts", "schema": {"fields": []}}
    client.post("/api/collections", json=collection, headers=admin.headers)
    base = "/api/collections/posts/records"
    for _ in range(2):
        client.post(base, json={"data": {}}, headers=admin.headers)
    cursor = client.get(f"{base}?limit=1", headers=admin.headers).get_json()["next_cursor"]
    page = client.get(f"{base}?limit=1&cursor={cursor}", headers=admin.headers).get_json()
    assert (len(page["records"]), page["total"], page["next_cursor"]) == (1, 2, None)
    for query in (f"cursor={cursor}&offset=0", "cursor=x", "cursor="):
        answer = client.get(f"{base}?{query}", headers=admin.headers)
        assert (answer.status_code, answer.get_json()["code"]) == (400, "invalid_cursor")
