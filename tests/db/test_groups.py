"""Units of several threads that are committed together: each as if it were alone."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import column, event, func, insert, select, table, text
from sqlalchemy.exc import IntegrityError

from tinybase import config
from tinybase.db import Database, db, tables
from tinybase.db.engine import prepare
from tinybase.errors import Unavailable

counters = tables.counters

SECONDS = 30
_LATE = "DEFERRABLE INITIALLY DEFERRED"  # looked at when it is committed


class Crowd:
    """Threads that want to write while one is writing already, in the order in which they came."""

    def __init__(self, engine):
        self.said: list[str] = []
        engine.dispose()  # what is connected from here on is listened to
        event.listen(engine, "connect", self._listen)
        self.database = Database(engine, busy_seconds=SECONDS)
        self._insert = self.database.statement(insert(counters))
        self._pool = ThreadPoolExecutor(32)
        self._queue = self.database._queue
        self._came = threading.Semaphore(0)
        self._queue._waiting = _Telling(self._came)

    def _listen(self, connection, _):
        connection.set_trace_callback(self.said.append)

    def write(self, name, then=None, **options):
        with self.database.write_raw(**options) as work:
            work.change(self._insert, {"name": name, "value": 1})
            if then is not None:
                then(work)

    def names(self):
        with self.database.connect() as connection:
            return list(connection.scalars(select(counters.c.name).order_by(counters.c.name)))

    def come(self, first, *others, then=None):
        """Have one write, and then the others, who all came while it did; return the futures.

        :param then: what the first does at last.
        """
        entered, go_on = threading.Event(), threading.Event()

        def hold(work):
            entered.set()
            assert go_on.wait(SECONDS)
            if then is not None:
                then()

        futures = [self._pool.submit(self.write, first, hold)]
        assert entered.wait(SECONDS)
        self.said.clear()
        for other in others:
            act = other if callable(other) else (lambda name=other: self.write(name))
            futures.append(self._pool.submit(act))
            assert self._came.acquire(timeout=SECONDS)
        go_on.set()
        return futures

    @property
    def commits(self):
        return self.said.count("COMMIT")


class _Telling(list):
    """The threads that wait, told of."""

    def __init__(self, came):
        super().__init__()
        self._came = came

    def append(self, turn):
        super().append(turn)
        self._came.release()

    def popleft(self):
        return self.pop(0)


@pytest.fixture
def crowd(engine, tmp_path):
    prepare(engine, config.load(tmp_path, {}))
    db.metadata.create_all(engine)
    crowd = Crowd(engine)
    yield crowd
    crowd._pool.shutdown()


def result(future):
    """Return what became of a unit."""
    error = future.exception(SECONDS)
    return "stored" if error is None else type(error)


def test_those_who_wait_are_committed_together(crowd):
    futures = crowd.come("a", "b", "c", "d")
    assert [result(each) for each in futures] == ["stored"] * 4
    assert crowd.names() == ["a", "b", "c", "d"]
    assert crowd.commits == 1


def test_nobody_goes_on_and_nothing_is_told_before_the_commit(crowd):
    found = []

    def look():
        with crowd.database.engine.connect() as connection:
            found.append(connection.scalar(select(func.count()).select_from(counters)))

    def ask(name):
        return lambda: crowd.write(name, lambda work: work.after_commit(look))

    for each in crowd.come("a", ask("b"), ask("c"), ask("d")):
        each.result(SECONDS)
    assert found == [4, 4, 4]


def test_one_that_fails_undoes_only_what_it_wrote_itself(crowd):
    def fail(work):
        raise LookupError

    futures = crowd.come("a", "b", lambda: crowd.write("lost", fail), "b", "c")
    assert [result(each) for each in futures] == [
        "stored",
        "stored",
        LookupError,
        IntegrityError,
        "stored",
    ]
    assert crowd.names() == ["a", "b", "c"]
    assert crowd.commits == 1


def test_the_first_may_fail_and_the_last(crowd):
    def fail(*_):
        raise LookupError

    futures = crowd.come("a", "b", lambda: crowd.write("c", fail), then=fail)
    assert [result(each) for each in futures] == [LookupError, "stored", LookupError]
    assert crowd.names() == ["b"]


def test_a_commit_that_fails_fails_all_and_writing_goes_on(crowd):
    with crowd.database.write() as work:
        for each in ("parents (id PRIMARY KEY)", f"children (id REFERENCES parents {_LATE})"):
            work.connection.execute(text(f"CREATE TABLE {each}"))
    orphan = crowd.database.statement(insert(table("children", column("id"))))

    def spoil(work):
        work.change(orphan, {"id": 1})

    futures = crowd.come("a", lambda: crowd.write("b", spoil), "c")
    assert [result(each) for each in futures] == [IntegrityError] * 3
    assert crowd.names() == []
    crowd.write("after")
    assert crowd.names() == ["after"]


def test_a_fault_after_which_nothing_is_left_is_told_to_all(crowd):
    give_up = crowd.database.statement(insert(counters).prefix_with("OR ROLLBACK"))

    def spoil(work):
        work.change(give_up, {"name": "a", "value": 2})

    futures = crowd.come("a", "b", lambda: crowd.write("c", spoil), "d")
    assert [result(each) for each in futures] == [IntegrityError] * 3 + ["stored"]
    assert crowd.names() == ["d"]


def test_a_transaction_of_its_own_that_comes_next_commits_before_it_begins(crowd):
    def write():
        with crowd.database.write() as work:
            assert crowd.names() == ["a"]
            work.connection.execute(insert(counters).values(name="b", value=1))

    futures = crowd.come("a", write, "c")
    assert [result(each) for each in futures] == ["stored"] * 3
    assert crowd.names() == ["a", "b", "c"]


def test_nobody_waits_for_one_that_may_take_long(crowd):
    entered, go_on = threading.Event(), threading.Event()

    def hold(work):
        entered.set()
        assert go_on.wait(SECONDS)

    first, long, last = crowd.come("a", lambda: crowd.write("long", hold, alone=True), "c")
    assert entered.wait(SECONDS)
    first.result(SECONDS)
    assert not long.done()
    assert crowd.names() == ["a"]
    go_on.set()
    long.result(SECONDS)
    last.result(SECONDS)
    assert crowd.names() == ["a", "c", "long"]


def test_who_does_not_wait_any_longer_keeps_nobody(crowd):
    gave_up = threading.Event()

    def give_up():
        crowd._queue._seconds = 0.01
        with pytest.raises(Unavailable):
            crowd.write("late")
        crowd._queue._seconds = SECONDS
        gave_up.set()

    def come_later():
        assert gave_up.wait(SECONDS)
        crowd.write("b")

    futures = crowd.come("a", give_up, come_later)
    for each in futures:
        each.result(SECONDS)
    assert crowd.names() == ["a", "b"]


def test_a_group_has_an_end_even_if_more_and_more_come(crowd):
    futures = crowd.come("first", *[f"{number:02}" for number in range(24)])
    for each in futures:
        each.result(SECONDS)
    assert len(crowd.names()) == 25
    assert crowd.commits == 2
