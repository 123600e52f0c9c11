"""Reading past SQLAlchemy: the same rows, whatever becomes of a connection."""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from contextlib import contextmanager
from uuid import UUID

import pytest
from sqlalchemy import bindparam, insert, select
from sqlalchemy.exc import SQLAlchemyError

from tinybase import config
from tinybase.db import Database, db, migrate, tables, utcnow
from tinybase.db.engine import prepare
from tinybase.db.reading import Memory, Reader
from tinybase.lane import Lane

counters = tables.counters
users = tables.users

BY_NAME = select(counters.c.name, counters.c.value).where(
    counters.c.name == bindparam("name"), counters.c.value > 0
)


@pytest.fixture(params=["sqlite", "postgresql"])
def database(request, tmp_path):
    if request.param == "sqlite":
        settings = config.load(tmp_path, {})
    else:
        settings = request.getfixturevalue("postgres_config")
    with migrate.opened(settings) as engine:
        prepare(engine, settings)
        db.metadata.create_all(engine)
        yield Database(engine)


def add(database, name, value=1):
    with database.write() as work:
        work.connection.execute(insert(counters).values(name=name, value=value))


def terminate_all(database):
    """Do to the connections of a database what its restart would."""
    if database.engine.dialect.name == "sqlite":
        for connection in database.raw.free:
            connection.close()
        return
    with database.connect() as connection:
        connection.exec_driver_sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
            "AND backend_type = 'client backend'"
        )


def test_every_read_sees_what_is_committed(database):
    statement = database.reader.statement(BY_NAME)
    assert database.reader.one(statement, {"name": "one"}) is None

    add(database, "one")
    add(database, "none", value=0)

    assert database.reader.one(statement, {"name": "one"}) == ("one", 1)
    assert database.reader.one(statement, {"name": "none"}) is None


def test_one_connection_serves_one_read_after_another_and_ends_with_the_engine(database):
    statement = database.reader.statement(BY_NAME)
    for _ in range(3):
        database.reader.rows(statement, {"name": "one"})
    (kept,) = database.raw.free

    database.engine.dispose()

    with pytest.raises((sqlite3.Error, database.engine.dialect.dbapi.Error)):
        kept.execute("SELECT 1")
    assert database.reader.rows(statement, {"name": "one"}) == []
    assert not database.raw.free, "a connection that nobody would close was kept"


def test_a_connection_that_is_out_when_the_engine_ends_is_closed_when_it_returns(database):
    with database.connect() as connection:
        driver = connection.connection.driver_connection
        database.engine.dispose()
        assert connection.scalar(select(1)) == 1

    with pytest.raises((sqlite3.Error, database.engine.dialect.dbapi.Error)):
        driver.execute("SELECT 1")


def test_a_connection_that_is_given_back_while_the_engine_ends_is_closed(database):
    class EndsMeanwhile(deque):
        def append(self, connection):
            database.engine.dispose()
            super().append(connection)

    driver = database.raw.new()
    database.raw.free = EndsMeanwhile()

    database.raw.give_back(driver)

    with pytest.raises((sqlite3.Error, database.engine.dialect.dbapi.Error)):
        driver.execute("SELECT 1")


def test_no_more_connections_are_kept_than_are_needed(database):
    taken = [database.raw.new() for _ in range(20)]
    for connection in taken:
        database.raw.give_back(connection)

    assert len(database.raw.free) == (6 if database.engine.dialect.name == "sqlite" else 16)
    with pytest.raises((sqlite3.Error, database.engine.dialect.dbapi.Error)):
        taken[-1].execute("SELECT 1")


def test_a_connection_that_is_gone_costs_nobody_an_answer(database):
    statement = database.reader.statement(BY_NAME)
    add(database, "one")
    database.reader.rows(statement, {"name": "one"})
    terminate_all(database)

    for _ in range(2):
        assert database.reader.one(statement, {"name": "one"}) == ("one", 1)


def test_a_fault_is_told_in_sqlalchemys_words(database):
    statement = database.reader.statement(BY_NAME)
    with database.write() as work:
        work.connection.exec_driver_sql("DROP TABLE counters")

    with pytest.raises(SQLAlchemyError):
        database.reader.rows(statement, {"name": "one"})


def test_a_row_can_have_the_types_of_its_columns(database):
    now = utcnow()
    with database.write() as work:
        work.connection.execute(
            insert(users).values(
                email="ada@example.com", email_key="ada", password_hash="", created_at=now
            )
        )
    statement = database.reader.statement(select(users.c.id, users.c.is_admin, users.c.created_at))

    row = statement.typed(database.reader.one(statement, {}))

    assert isinstance(row.id, UUID)
    assert row.is_admin is False
    assert row.created_at == now


def test_a_memory_makes_a_thing_anew_when_its_row_has_changed():
    made = []
    memory = Memory(lambda row: made.append(row) or sum(row))

    assert [memory.of("a", (1, 2)), memory.of("a", (1, 2)), memory.of("a", (2, 2))] == [3, 3, 4]
    assert made == [(1, 2), (2, 2)]


class Slow:
    """Counts who reads, and keeps them where they are but for the main thread."""

    def __init__(self, database, monkeypatch, *, waits: float) -> None:
        self.began = threading.Semaphore(0)
        self.may_end = threading.Event()
        monkeypatch.setattr(Reader, "rows", self.rows)
        monkeypatch.setattr(database.scanner, "_lane", Lane(waits))

    def rows(self, *arguments):
        self.began.release()
        if threading.current_thread() is not threading.main_thread():
            assert self.may_end.wait(30)
        return []

    @contextmanager
    def read_by(self, database):
        thread = threading.Thread(target=database.scanner.rows, args=(None, {}))
        thread.start()
        try:
            yield thread
        finally:
            self.may_end.set()
            thread.join()


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_who_goes_through_much_of_the_database_waits_for_who_is_at_it(database, monkeypatch):
    slow = Slow(database, monkeypatch, waits=30)

    with slow.read_by(database), slow.read_by(database) as second:
        assert slow.began.acquire(timeout=30)
        assert not slow.began.acquire(timeout=0.2)
        slow.may_end.set()
        second.join()
        assert slow.began.acquire(timeout=0)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_nobody_waits_for_long_behind_who_goes_through_much_of_it(database, monkeypatch):
    slow = Slow(database, monkeypatch, waits=0.01)

    with slow.read_by(database), slow.read_by(database):
        assert slow.began.acquire(timeout=30)
        assert slow.began.acquire(timeout=30)


@pytest.mark.parametrize("database", ["sqlite"], indirect=True)
def test_who_takes_part_in_a_transaction_waits_for_nobody_who_reads(database, monkeypatch):
    slow = Slow(database, monkeypatch, waits=30)

    with slow.read_by(database), database.write() as work, work.shared():
        assert slow.began.acquire(timeout=30)
        began = time.monotonic()
        database.scanner.rows(None, {})
        assert time.monotonic() - began < 20


def test_going_through_much_of_the_database_finds_the_same(database):
    statement = database.scanner.statement(BY_NAME)
    add(database, "one")

    for _ in range(2):
        assert database.scanner.rows(statement, {"name": "one"}) == [("one", 1)]
    terminate_all(database)
    assert database.scanner.one(statement, {"name": "one"}) == ("one", 1)
