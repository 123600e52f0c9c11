"""The indexes on declared fields: what they are used for, on every engine."""

from __future__ import annotations

import re
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from tinybase.actors import SYSTEM
from tinybase.collections.expressions import RECORDS

VALUES: dict[str, Any] = {
    "string": lambda n: f"name {n:05}",
    "int": lambda n: n,
    "number": lambda n: n / 8,
    "datetime": lambda n: f"2026-01-01T00:{n // 60 % 60:02}:{n % 60:02}.{n:06}Z",
    "uuid": lambda n: f"0190b6c2-0000-7000-8000-{n:012}",
}
MANY = 3_000


def indexes(room: Any) -> list[str]:
    """Return the indexes on fields."""
    with room.database.connect() as connection:
        names = connection.exec_driver_sql(_INDEXES[connection.dialect.name]).scalars().all()
    return [name for name in names if re.fullmatch("[iu]x_records_[0-9a-f]{24}", name)]


_INDEXES = {
    "postgresql": "SELECT indexname FROM pg_indexes WHERE tablename = 'records'",
    "sqlite": "SELECT name FROM pragma_index_list('records')",
}


def stock(room: Any, *documents: dict[str, Any]) -> None:
    """Store many records at once, and let the planner know."""
    collection = room.collections.get("posts")
    rows = [{"id": uuid7(), "collection_id": collection.id, "data": each} for each in documents]
    with room.database.write() as work:
        work.connection.execute(RECORDS.insert(), rows)
        if room.database.engine.dialect.name == "postgresql":
            work.connection.exec_driver_sql("ANALYZE records")


def plan(room: Any, **query: Any) -> str:
    """Return how the database goes about the statement of a list."""
    with room.watched() as statements:
        room.records.list(SYSTEM, "posts", **query)
    text, parameters = next(pair for pair in statements if "ORDER BY" in pair[0])
    explain = (
        "EXPLAIN" if room.database.engine.dialect.name == "postgresql" else "EXPLAIN QUERY PLAN"
    )
    with room.database.connect() as connection:
        rows = connection.exec_driver_sql(f"{explain} {text}", parameters)
        return "\n".join(str(row[-1]) for row in rows)


def sorts(steps: str) -> bool:
    """Say whether a plan has to sort what it has found."""
    return "TEMP B-TREE" in steps or "Sort" in steps


@pytest.mark.parametrize("option", ["indexed", "unique"])
@pytest.mark.parametrize("kind", VALUES)
def test_an_index_serves_filters_and_sorting(room, kind, option):
    room.make("posts", {"name": "n", "type": kind, option: True}, {"name": "m", "type": kind})
    value = VALUES[kind]
    stock(room, *({"n": value(n), "m": value(n)} for n in range(MANY)))
    (index,) = indexes(room)

    assert index in plan(room, filters={"n": value(3)}, count=False)
    if room.database.engine.dialect.name == "postgresql":
        # Without statistics SQLite would rather walk through all records than sort some.
        assert index in plan(room, filters={"n": {"in": [value(3), value(7)]}}, count=False)
    assert index not in plan(room, filters={"m": value(3)}, count=False)
    if kind != "uuid":
        steps = plan(room, filters={"n": {"gte": value(MANY - 20)}}, sort="n", count=False)
        assert index in steps
    if kind == "string":
        assert index in plan(room, filters={"n": {"startswith": "name 0000"}}, count=False)
    if option == "indexed":
        for sort in ("n", "-n"):
            steps = plan(room, sort=sort, limit=10, count=False)
            assert index in steps
            assert not sorts(steps)


def test_the_newest_records_come_out_of_an_index(room):
    room.make("posts", {"name": "n", "type": "int"})
    stock(room, *({"n": n} for n in range(MANY)))
    steps = plan(room, limit=10, count=False)
    assert "ix_records_newest" in steps
    assert not sorts(steps)


@pytest.mark.parametrize("sort", ["n", "-n", "created_at", "-created_at"])
def test_a_cursor_goes_on_in_the_middle_of_an_index(room, sort):
    room.make("posts", {"name": "n", "type": "int", "indexed": True})
    stock(room, *({"n": n // 1_500} for n in range(MANY)))
    cursor = room.records.list(SYSTEM, "posts", sort=sort, count=False).next_cursor
    steps = plan(room, sort=sort, cursor=cursor, limit=10, count=False)
    # The place itself is looked for in the index, not only the collection.
    assert re.search(r"\(created_at,id\)[<>]|ROW\(created_at, id\) [<>]", steps)
    assert "Filter" not in steps
    # However many records have the same value, a page takes no longer.
    assert not sorts(steps)


@pytest.mark.parametrize("option", ["indexed", "unique"])
def test_an_index_goes_with_its_field(room, option):
    room.make("posts", {"name": "n", "type": "int", option: True}, {"name": "m", "type": "int"})
    (index,) = indexes(room)
    fields = [{"name": "n", "type": "int"}, {"name": "m", "type": "int", option: True}]
    room.collections.update("posts", schema={"fields": fields})
    assert len(indexes(room)) == 1
    assert indexes(room) != [index]
    room.collections.delete("posts")
    assert indexes(room) == []


@pytest.mark.parametrize("value", ["a long text " * 20, "ä" * 200])
def test_long_values_are_indexed_too(room, value):
    room.make("posts", {"name": "n", "indexed": True})
    room.fill("posts", {"n": value}, {"n": value + "!"})
    page = room.records.list(SYSTEM, "posts", filters={"n": value})
    assert [record.data["n"] for record in page.records] == [value]


def test_a_value_of_another_type_left_by_force_makes_no_statement_fail(room):
    room.make("posts", {"name": "n"}, {"name": "m", "type": "json"})
    room.fill("posts", {"n": "no number", "m": {"a": 1}}, {"n": "7", "m": [True]})
    for kind in ("int", "number", "bool"):
        fields = [{"name": name, "type": kind, "indexed": True} for name in ("n", "m")]
        room.collections.update("posts", schema={"fields": fields}, force=True)
        for sort in ("n", "-m"):
            assert room.records.list(SYSTEM, "posts", sort=sort).total == 2
        assert room.records.list(SYSTEM, "posts", filters={"n": {"null": True}}).total == 0
        assert room.records.list(SYSTEM, "posts", filters={"n": "1"}).total == 0
