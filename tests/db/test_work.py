"""Units of work: all or nothing, and what happens afterwards."""

from __future__ import annotations

import contextvars
import threading
from contextlib import ExitStack

import pytest
from sqlalchemy import create_engine, func, insert, select
from sqlalchemy.exc import IntegrityError

from tinybase import config
from tinybase.db import Database, db, tables
from tinybase.db.engine import prepare
from tinybase.errors import Conflict, Unavailable

counters = tables.counters


@pytest.fixture
def database(engine, tmp_path):
    prepare(engine, config.load(tmp_path, {"TINYBASE_DATABASE_BUSY_TIMEOUT_SECONDS": "1"}))
    db.metadata.create_all(engine)
    return Database(engine, busy_seconds=1)


def add(database, name, told=None):
    with database.write() as work:
        work.connection.execute(insert(counters).values(name=name, value=1))
        if told is not None:
            work.after_commit(lambda: told.append(count(database)))


def count(database):
    with database.connect() as connection:
        return connection.scalar(select(func.count()).select_from(counters))


def count_elsewhere(database):
    return count(Database(database.engine.execution_options()))


def test_what_is_asked_for_after_the_commit_sees_the_committed_data(database):
    told = []
    add(database, "one", told)
    assert told == [1]


def test_a_block_that_raises_leaves_nothing_behind_and_tells_nobody(database):
    told = []

    def fail():
        with database.write() as work:
            work.connection.execute(insert(counters).values(name="one", value=1))
            work.after_commit(lambda: told.append("told"))
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert count(database) == 0
    assert told == []


def test_a_writer_that_waits_too_long_is_refused_as_busy(database):
    begun, done = threading.Event(), threading.Event()

    def hold():
        with database.write():
            begun.set()
            done.wait()

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait()
    try:
        with pytest.raises(Unavailable) as refused:
            add(database, "one")
    finally:
        done.set()
        holder.join()
    assert (refused.value.status, refused.value.code) == (503, "database_busy")
    assert refused.value.headers["Retry-After"]
    add(database, "two")
    assert count(database) == 1


def test_a_full_disk_is_told_as_such_and_writing_goes_on_when_there_is_room(database):
    def limit(pages):
        with database.connect() as connection:
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")

    def fill():
        for number in range(1000):
            add(database, f"{number:050}")

    limit(1)  # SQLite takes what the file has now for the least
    with pytest.raises(Unavailable) as refused:
        fill()
    assert (refused.value.status, refused.value.code) == (507, "insufficient_storage")
    stored = count(database)
    limit(2**30)
    add(database, "more")
    assert count(database) == stored + 1


def test_writers_in_many_threads_queue_up(database):
    threads = [
        threading.Thread(target=lambda n=n: [add(database, f"{n} {i}") for i in range(20)])
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert count(database) == 80


def test_what_is_written_together_is_one_transaction_that_is_told_of_at_its_end(database):
    told, begun = [], []
    with database.together(begun.append) as joint:
        assert joint.work is None
        add(database, "one", told)
        add(database, "two", told)
        assert (count(database), count_elsewhere(database)) == (2, 0)
        assert told == []

    assert begun == [joint.work]
    assert told == [2, 2]
    add(database, "three")
    assert count(database) == 3


def test_what_is_written_together_is_forgotten_together(database):
    told = []

    def fail():
        with database.together(lambda _: None):
            add(database, "one", told)
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert (count(database), told) == (0, [])


def test_a_part_that_fails_takes_nothing_else_with_it(database):
    told = []

    def fail():
        with database.write() as work:
            work.after_commit(lambda: told.append("never"))
            work.connection.execute(insert(counters).values(name="two", value=1))
            work.connection.execute(insert(counters).values(name="one", value=1))

    with database.together(lambda _: None):
        add(database, "one", told)
        with pytest.raises(IntegrityError):
            fail()
        add(database, "three", told)

    assert count(database) == 2
    assert told == [2, 2]


def test_other_threads_write_for_themselves(database):
    with database.together(lambda _: None):
        thread = threading.Thread(target=add, args=(database, "other"))
        thread.start()
        thread.join()
        assert count(database) == 1


def test_what_is_called_in_a_shared_transaction_reads_and_writes_in_it(database):
    told = []

    with database.write() as work:
        with work.shared():
            add(database, "one", told)
            assert (count(database), count_elsewhere(database)) == (1, 0)
        assert told == []

    assert (told, count_elsewhere(database)) == ([1], 1)


def test_a_thread_in_a_copy_of_the_context_takes_part_while_others_do_not(database):
    def inside(action):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(action,))
        thread.start()
        thread.join()

    counted = []
    with database.write() as work, work.shared():
        inside(lambda: add(database, "one"))
        counted.append(count(database))
        thread = threading.Thread(target=lambda: counted.append(count(database)))
        thread.start()
        thread.join()

    assert counted == [1, 0]


def test_who_outlives_a_shared_transaction_is_refused(database):
    def keep():
        with database.write() as work, work.shared():
            add(database, "one")
            return contextvars.copy_context()

    late = keep()

    for use in (lambda: add(database, "two"), lambda: count(database)):
        with pytest.raises(Conflict, match="is over"):
            late.run(use)
    assert count(database) == 1


def test_a_connection_that_is_still_used_at_the_end_serves_nobody_else(database):
    def take_part():
        with database.write() as work, work.shared():
            stack.enter_context(database.write())
            drivers.append(work.connection.connection.driver_connection)
            raise LookupError

    stack, drivers = ExitStack(), []
    with pytest.raises(LookupError):
        take_part()

    with database.write() as work:
        assert work.connection.connection.driver_connection is not drivers[0]
    with pytest.raises(Conflict, match="is over"):
        stack.close()
    assert count(database) == 0


def test_what_is_to_be_done_soon_is_done_when_a_shared_transaction_has_ended(database):
    done = []

    def fail():
        with database.write() as work, work.shared():
            database.soon(lambda: done.append("failed"))
            assert done == [1]
            raise LookupError

    with database.write() as work, work.shared():
        database.soon(lambda: done.append(count(database)))
        add(database, "one")
    with pytest.raises(LookupError):
        fail()

    assert done == [1, "failed"]


def test_two_databases_are_not_mixed_up(database, tmp_path):
    other = Database(create_engine(f"sqlite:///{tmp_path}/other.db"))
    db.metadata.create_all(other.engine)

    with database.write() as work, work.shared():
        add(database, "one")
        with other.write() as others, others.shared():
            add(other, "two")
            add(database, "three")
            assert (count(database), count(other)) == (2, 1)

    assert (count_elsewhere(database), count_elsewhere(other)) == (2, 1)
    other.engine.dispose()
