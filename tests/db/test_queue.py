"""The queue in front of SQLite's lock: all processes stand in it, and nobody keeps it."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from contextlib import contextmanager

import pytest
from sqlalchemy import insert, select

from tinybase import config
from tinybase.db import Database, db, tables
from tinybase.db.engine import prepare
from tinybase.errors import Unavailable

counters = tables.counters

HOLD = """
import fcntl, sys
file = open(sys.argv[1], "r+")
fcntl.flock(file, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def database(engine, tmp_path):
    prepare(engine, config.load(tmp_path, {}))
    db.metadata.create_all(engine)
    return Database(engine, busy_seconds=0.05)


@pytest.fixture(params=["write", "write_raw"])
def add(request, database):
    statement = database.statement(insert(counters))

    def add(name):
        if request.param == "write":
            with database.write() as work:
                work.connection.execute(insert(counters).values(name=name, value=1))
        else:
            with database.write_raw() as work:
                work.change(statement, {"name": name, "value": 1})

    return add


def names(database):
    with database.connect() as connection:
        return list(connection.scalars(select(counters.c.name).order_by(counters.c.name)))


@contextmanager
def held_by_another_process(tmp_path):
    """Have another process stand in front of everybody until it is killed."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "tinybase.db-queue")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"held\n"
        try:
            yield process
        finally:
            process.kill()


def test_a_writer_waits_for_one_of_another_process_and_is_refused_after_the_time(
    database, add, tmp_path
):
    add("before")
    with held_by_another_process(tmp_path), pytest.raises(Unavailable) as refused:
        add("meanwhile")
    assert (refused.value.code, refused.value.headers) == ("database_busy", {"Retry-After": "1"})
    assert names(database) == ["before"]


def test_the_place_of_a_process_that_was_killed_is_free(database, add, tmp_path):
    add("before")
    with held_by_another_process(tmp_path) as holder:
        holder.kill()
        holder.wait()
        add("after")
    assert names(database) == ["after", "before"]


def test_a_writer_that_fails_leaves_its_place(database, add):
    for _ in range(2):
        with pytest.raises(LookupError), database.write_raw():
            raise LookupError
    add("after")
    assert names(database) == ["after"]


def test_reading_does_not_stand_in_the_queue(database, add, tmp_path):
    add("before")
    with held_by_another_process(tmp_path):
        assert names(database) == ["before"]


def test_where_the_file_system_cannot_lock_writing_goes_on(database, add, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    add("one")
    assert names(database) == ["one"]
