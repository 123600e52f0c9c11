"""Indexes on PostgreSQL come and go while others write, and leave nothing broken behind."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from sqlalchemy.exc import DataError

from tinybase.actors import SYSTEM
from tinybase.collections.expressions import RECORDS
from tinybase.errors import Conflict, Invalid, TinyBaseError

INDEXES = "SELECT indexname FROM pg_indexes WHERE indexname ~ '^[iu]x_records_[0-9a-f]{24}'"


pytestmark = pytest.mark.parametrize("databases", ["postgresql"], indirect=True, scope="session")


def indexes(room: Any) -> list[str]:
    with room.database.connect() as connection:
        return sorted(connection.exec_driver_sql(INDEXES).scalars())


def execute(room: Any, statement: str) -> None:
    with room.database.engine.connect() as connection:
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.exec_driver_sql(statement)


def change(room: Any, *fields: dict[str, Any], **options: Any) -> None:
    room.collections.update("posts", schema={"fields": list(fields)}, **options)


@pytest.mark.parametrize("option", ["indexed", "unique"])
def test_records_are_written_while_an_index_is_built(make_room, option):
    room = make_room()
    room.make("posts", {"name": "n"})
    room.make("others", {"name": "n"})
    other = room.collections.get("others")
    with room.database.write() as work:
        # The build waits for the end of this transaction; nobody else has to.
        work.connection.execute(RECORDS.insert().values(collection_id=other.id, data={"n": "x"}))
        changing = threading.Thread(target=change, args=(room, {"name": "n", option: True}))
        changing.start()
        deadline = time.monotonic() + 10
        while len(indexes(room)) == 0:
            assert time.monotonic() < deadline
        room.fill("posts", {"n": "a"}, {"n": "b"})
        assert changing.is_alive()
    changing.join()
    assert room.records.list(SYSTEM, "posts", filters={"n": "a"}).total == 1
    assert room.collections.get("posts").compiled.specs["n"].wants_index


def test_a_change_that_is_refused_leaves_no_index(room):
    room.make("posts", {"name": "n"}, {"name": "m"})
    room.fill("posts", {"n": "x", "m": "1"}, {"n": "x", "m": "2"})
    with pytest.raises(Conflict):
        change(room, {"name": "n", "unique": True}, {"name": "m", "unique": True})
    assert indexes(room) == []


def test_a_field_changes_its_type_and_keeps_its_index(room):
    room.make("posts", {"name": "n", "unique": True})
    room.fill("posts", {"n": "7"})
    before = indexes(room)
    change(room, {"name": "n", "type": "int", "unique": True}, force=True)
    assert indexes(room) == before
    room.fill("posts", {"n": 7})
    with pytest.raises(Conflict) as refused:
        room.fill("posts", {"n": 7})
    assert refused.value.code == "unique_violation"


def test_a_field_that_comes_back_as_unique_knows_nothing_of_its_old_values(room):
    room.make("posts", {"name": "n"})
    room.fill("posts", {"n": "x"}, {"n": "x"})
    change(room)
    change(room, {"name": "n", "unique": True})
    assert [record.data for record in room.records.list(SYSTEM, "posts").records] == [
        {"n": None}
    ] * 2


def test_what_was_cut_off_is_repaired_at_the_next_start(make_room):
    room = make_room()
    room.make("posts", {"name": "n", "indexed": True}, {"name": "m"})
    (wanted,) = indexes(room)
    room.fill("posts", {"m": "x"})
    unwanted, broken = f"ux_records_{'0' * 24}", f"ux_records_{'1' * 24}"
    execute(room, f"CREATE UNIQUE INDEX {unwanted} ON records ((data ->> 'm'))")
    with pytest.raises(DataError):
        # One that fails stays behind, invalid.
        execute(room, f"CREATE INDEX CONCURRENTLY {broken} ON records (((data ->> 'm')::int))")
    execute(room, f"DROP INDEX {wanted}")
    assert indexes(room) == [unwanted, broken]
    with pytest.raises(TinyBaseError) as refused:
        room.fill("posts", {"m": "x"})
    assert refused.value.code == "unique_violation"

    make_room().collections.repair_indexes()

    assert indexes(room) == [wanted]
    room.fill("posts", {"m": "x"})


def test_a_repair_keeps_out_of_a_change_that_goes_on(make_room):
    room, other = make_room(), make_room()
    room.make("posts", {"name": "n", "indexed": True})
    (wanted,) = indexes(room)
    with room.collections._indexes.turn():
        execute(room, f"ALTER INDEX {wanted} RENAME TO {wanted}_next")
        other.collections.repair_indexes()
        assert indexes(room) == [f"{wanted}_next"]
    other.collections.repair_indexes()
    assert indexes(room) == [wanted]


def test_a_text_that_fits_in_no_index_is_refused_with_the_reason(room):
    room.make("posts", {"name": "n", "indexed": True}, {"name": "m"})
    text = "".join(chr(0x4E00 + n * 7919 % 20000) for n in range(5000))
    with pytest.raises(Invalid) as refused:
        room.fill("posts", {"n": text})
    assert (refused.value.code, refused.value.faults[0].type) == ("record_invalid", "too_long")
    room.fill("posts", {"m": text})
    with pytest.raises(Conflict) as conflict:
        change(room, {"name": "n", "indexed": True}, {"name": "m", "indexed": True})
    assert conflict.value.code == "schema_conflict"
    assert len(indexes(room)) == 1
