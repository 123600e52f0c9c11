"""Every filter, order and page against a plain model, over random records.

``TINYBASE_TEST_QUERIES`` makes the comparison larger than the ten thousand questions that
are asked of each database by default.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

import pytest
from model import FIRST, LATER, SYSTEM, Chance, Question, Row, fields, meaning

from tinybase.actors import SYSTEM as OPERATOR
from tinybase.actors import Actor
from tinybase.collections.terms import parse_sort, parse_terms

CASES = int(os.environ.get("TINYBASE_TEST_QUERIES", "10000"))
PARTS = 8
LIMIT = 15
ALIKE = 20
"""How many questions differ in their values only: engines see the same statements again."""

KINDS = {
    **SYSTEM,
    **{f"data.{spec['name']}" if spec["name"] in SYSTEM else spec["name"]: spec["type"]
       for spec in [*FIRST, *LATER]},
}  # fmt: skip


@dataclass
class World:
    """Two collections with the same kind of records; everything in one of them is indexed."""

    room: Any
    rows: dict[str, list[Row]]
    people: list[Actor]

    def ask(self, name: str, question: Question, actor: Actor, **page: Any) -> Any:
        """Ask the product."""
        sort = {"sort": parse_sort(question.sort)} if question.order else {}
        return self.room.records.list(
            actor, name, filters=parse_terms(question.pairs()), fields=["id"], **sort, **page
        )

    def expected(self, name: str, question: Question, actor: Actor) -> list[Any]:
        """Ask the model."""
        rows = self.rows[name]
        if actor is not OPERATOR:
            owner = str(actor.user_id)
            rows = [row for row in rows if row.values["owner_id"] == owner]
        return question.answer(rows)


@pytest.fixture(scope="module")
def world(shared_room):
    """Return records of which half are older than the last fields of their schema."""
    people = [shared_room.user(), shared_room.user()]
    world = World(shared_room, {}, people)
    for seed, name in enumerate(("plain", "indexed")):
        chance, indexed = Chance(seed), name == "indexed"
        shared_room.make(name, *fields(FIRST, indexed=indexed))
        world.rows[name] = [add(world, name, chance, FIRST) for _ in range(90)]
        schema = {"fields": fields([*FIRST, *LATER], indexed=indexed)}
        shared_room.collections.update(name, schema=schema)
        world.rows[name] += [add(world, name, chance, [*FIRST, *LATER]) for _ in range(90)]
    return world


def add(world: World, name: str, chance: Chance, specs: list[dict[str, Any]]) -> Row:
    """Store a record, sometimes write it a second time, and note what it means."""
    document = chance.document(specs)
    actor = chance.random.choice([OPERATOR, *world.people])
    record = world.room.records.create(actor, name, document)
    if chance.random.random() < 0.3:
        document["string"] = f"{document.get('string') or ''}!"
        record = world.room.records.update(OPERATOR, name, record.id, document)
    values = {
        "id": str(record.id),
        "owner_id": None if actor is OPERATOR else str(actor.user_id),
        "created_at": record.created_at,
        "updated_at": record.updated_at,
        "version": record.version,
    }
    for spec in [*FIRST, *LATER]:
        key = f"data.{spec['name']}" if spec["name"] in SYSTEM else spec["name"]
        empty = [] if spec["type"] == "list" else {} if spec["type"] == "dict" else None
        given = document.get(spec["name"], spec.get("default", empty))
        values[key] = meaning(spec["type"], given)
    return Row(record.id, values)


@pytest.mark.parametrize("part", range(PARTS))
def test_every_filter_and_order_finds_what_the_model_finds(world, part):
    chance = Chance(1_000 + part)
    for _ in range(-(-CASES // PARTS // ALIKE)):
        name = chance.random.choice(["plain", "indexed"])
        actor = chance.random.choice([OPERATOR, OPERATOR, OPERATOR, *world.people])
        for question in chance.questions(KINDS, world.rows[name], ALIKE):
            expected = world.expected(name, question, actor)
            offset = chance.random.choice([0, chance.random.randrange(len(expected) + 1)])
            count = chance.random.random() < 0.5
            page = world.ask(name, question, actor, limit=LIMIT, offset=offset, count=count)
            found = [record.id for record in page.records]
            assert found == expected[offset : offset + LIMIT], (name, question, offset)
            assert page.total == (len(expected) if count else None)
            assert (page.next_cursor is None) == (offset + LIMIT >= len(expected))


@pytest.mark.parametrize("part", range(2))
def test_a_walk_by_cursor_meets_every_record_once_and_in_order(world, part):
    chance = Chance(2_000 + part)
    for _ in range(40):
        name = chance.random.choice(["plain", "indexed"])
        actor = chance.random.choice([OPERATOR, OPERATOR, *world.people])
        (question,) = chance.questions(KINDS, world.rows[name], 1)
        expected = world.expected(name, question, actor)
        found: list[Any] = []
        cursor = None
        while cursor is not None or not found:
            limit = chance.random.choice([3, 10, 30, 100])
            page = world.ask(name, question, actor, limit=limit, cursor=cursor, count=False)
            found += [record.id for record in page.records]
            assert found == expected[: len(found)], question
            assert page.offset == (0 if cursor is None else None)
            cursor = page.next_cursor
            assert cursor is None or len(cursor) <= 1_024
            if not expected:
                break
        assert found == expected, question
