"""Many writers at once: nothing is lost, nothing is there twice, nobody sees a lock."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from typing import Any

from tinybase.actors import SYSTEM
from tinybase.collections.preconditions import Versions
from tinybase.errors import PreconditionFailed, TinyBaseError


def at_once(count: int, action: Callable[[int], Any]) -> list[Any]:
    """Run an action in threads that start together; return its results, or its errors."""
    barrier = threading.Barrier(count)
    results: list[Any] = [None] * count

    def run(index: int) -> None:
        barrier.wait()
        try:
            results[index] = action(index)
        except Exception as error:
            results[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def codes(results: list[Any]) -> Counter[str]:
    return Counter(
        result.code if isinstance(result, TinyBaseError) else type(result).__name__
        for result in results
    )


def test_no_update_with_if_match_is_lost(make_room):
    rooms = [make_room(), make_room()]
    rooms[0].make("counters", {"name": "n", "type": "int"}, require_if_match=True)
    (record_id,) = rooms[0].fill("counters", {"n": 0})

    def increment(index: int) -> int:
        records, done = rooms[index % 2].records, 0
        for _ in range(25):
            seen = records.get(SYSTEM, "counters", record_id)
            try:
                records.update(
                    SYSTEM,
                    "counters",
                    record_id,
                    {"n": seen.data["n"] + 1},
                    if_match=Versions.of(seen.version),
                )
            except PreconditionFailed:
                continue
            done += 1
        return done

    done = at_once(8, increment)
    record = rooms[0].records.get(SYSTEM, "counters", record_id)
    assert record.data["n"] == sum(done)
    assert record.version == 1 + sum(done)
    assert sum(done) >= 25


def test_two_fields_changed_at_once_are_both_changed(make_room):
    rooms = [make_room(), make_room()]
    fields = [{"name": f"f{index}", "type": "int"} for index in range(8)]
    rooms[0].make("wide", *fields)
    (record_id,) = rooms[0].fill("wide", {})

    def set_own(index: int) -> None:
        for value in range(10):
            rooms[index % 2].records.update(SYSTEM, "wide", record_id, {f"f{index}": value})

    assert codes(at_once(8, set_own)) == {"NoneType": 8}
    record = rooms[0].records.get(SYSTEM, "wide", record_id)
    assert set(record.data.values()) == {9}
    assert record.version == 81


def test_one_of_many_equal_values_of_a_unique_field_wins(make_room):
    rooms = [make_room(), make_room()]
    rooms[0].make("keys", {"name": "key", "unique": True})
    results = at_once(
        20, lambda index: rooms[index % 2].records.create(SYSTEM, "keys", {"key": "same"})
    )
    assert codes(results) == {"RecordRow": 1, "unique_violation": 19}


def test_one_of_many_equal_collection_names_wins(make_room):
    rooms = [make_room(), make_room()]
    results = at_once(10, lambda index: rooms[index % 2].collections.create("posts"))
    assert codes(results) == {"Collection": 1, "collection_exists": 9}


def test_a_record_is_deleted_once(make_room):
    rooms = [make_room(), make_room()]
    rooms[0].make("posts")
    (record_id,) = rooms[0].fill("posts", {})
    results = at_once(10, lambda index: rooms[index % 2].records.delete(SYSTEM, "posts", record_id))
    assert codes(results) == {"NoneType": 1, "not_found": 9}
    events = rooms[0].events + rooms[1].events
    assert len(events) == 2


def test_a_schema_that_changes_under_writers_leaves_only_valid_records(make_room):
    rooms = [make_room(), make_room()]
    rooms[0].make("posts", {"name": "n", "type": "int"})

    def write(index: int) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        for value in range(30):
            try:
                rooms[index % 2].records.create(SYSTEM, "posts", {"n": value - 15})
            except TinyBaseError as error:
                outcomes[error.code] += 1
        return outcomes

    def change(_: int) -> Counter[str]:
        outcomes: Counter[str] = Counter()
        for minimum in range(-20, 10):
            field = {"name": "n", "type": "int", "min": minimum}
            try:
                rooms[0].collections.update("posts", schema={"fields": [field]})
            except TinyBaseError as error:
                outcomes[error.code] += 1
        return outcomes

    outcomes = at_once(4, lambda index: change(index) if index == 3 else write(index))
    assert {code for counter in outcomes for code in counter} <= {
        "record_invalid",
        "schema_conflict",
    }
    (field,) = rooms[0].collections.get("posts").schema["fields"]
    page = rooms[0].records.list(SYSTEM, "posts", limit=1000)
    assert all(record.data["n"] >= field["min"] for record in page.records)
