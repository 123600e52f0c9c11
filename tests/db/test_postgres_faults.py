"""What clients see while PostgreSQL is stopped, full or busy."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import URL, Postgres, running_postgres
from serving import Answer, Server, tinybase

from tinybase import config
from tinybase.db import Database, migrate, tables
from tinybase.errors import Unavailable

EMAIL, PASSWORD = "admin@example.com", "correct horse battery"
COUNTERS = tables.counters


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL that the tests may stop."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def environ(own_postgres: Postgres, request: pytest.FixtureRequest) -> Iterator[dict[str, str]]:
    """Return the environment that says where an empty database is."""
    name = f"own{abs(hash(request.node.name))}"
    yield own_postgres.new_database(name)
    own_postgres.execute(f"DROP DATABASE {name} WITH (FORCE)")


def make_instance(folder: Path, environ: dict[str, str], *options: str) -> None:
    """Make an instance as people do."""
    options = options or ("--admin-email", EMAIL, "--admin-password", PASSWORD)
    made = tinybase("init", folder, "--database", environ[URL], *options)
    assert made.returncode == 0, made.stderr


def test_a_server_goes_on_after_a_restart_of_its_database(
    own_postgres: Postgres, environ: dict[str, str], tmp_path: Path
) -> None:
    make_instance(tmp_path, environ)
    with Server(tmp_path) as server:
        token = server.login(EMAIL, PASSWORD)
        body = {"name": "posts", "schema": {"fields": [{"name": "n", "type": "int"}]}}
        assert server.request("POST", "/api/collections", body, token=token).status == 201
        path = "/api/collections/posts/records"

        def write() -> Answer:
            return server.request("POST", path, {"n": 1}, token=token)

        assert write().status == 201
        own_postgres.stop()
        begun = time.monotonic()
        refused = [write(), server.request("GET", path, token=token)]
        assert time.monotonic() - begun < 10
        assert [answer.status for answer in refused] == [503, 503]
        assert [answer.json["code"] for answer in refused] == ["not_ready", "not_ready"]
        assert all(answer.headers["Retry-After"] for answer in refused)
        own_postgres.start()
        assert [write().status for _ in range(10)] == [201] * 10
        assert server.request("GET", path, token=token).json["total"] == 11
    assert "Traceback" not in server.output


def test_no_acknowledged_write_is_lost_when_the_database_restarts_in_the_middle(
    own_postgres: Postgres, environ: dict[str, str], tmp_path: Path
) -> None:
    make_instance(tmp_path, environ)
    with Server(tmp_path) as server:
        token = server.login(EMAIL, PASSWORD)
        body = {"name": "posts", "schema": {"fields": [{"name": "n", "type": "int"}]}}
        server.request("POST", "/api/collections", body, token=token)
        path = "/api/collections/posts/records"
        answers: list[int] = []
        stored: set[int] = set()
        is_over = threading.Event()

        def write_on(start: int) -> None:
            number = start
            while not is_over.is_set():
                answer = server.request("POST", path, {"n": number}, token=token)
                answers.append(answer.status)
                if answer.status == 201:
                    stored.add(number)
                number += 4

        threads = [threading.Thread(target=write_on, args=(start,)) for start in range(4)]
        for thread in threads:
            thread.start()
        server.wait_for(lambda: len(stored) > 20)
        own_postgres.stop()
        server.wait_for(lambda: 503 in answers)
        own_postgres.start()
        written = len(stored)
        server.wait_for(lambda: len(stored) > written + 20)
        is_over.set()
        for thread in threads:
            thread.join()

        assert set(answers) == {201, 503}
        found = server.request("GET", f"{path}?limit=1000", token=token).json["records"]
        assert stored <= {record["data"]["n"] for record in found}


def test_a_database_that_is_not_there_is_told_in_one_line(tmp_path: Path) -> None:
    url = "postgresql+psycopg://tinybase@127.0.0.1:1/none"
    (tmp_path / "tinybase.toml").write_text(f'[database]\nurl = "{url}"\n')
    for command in ("serve", "db", "users"):
        arguments = {"db": ["current"], "users": ["list"]}.get(command, [])
        done = tinybase(command, *arguments, instance=tmp_path)
        assert done.returncode == 1
        assert "database.url" in done.stderr
        assert "Traceback" not in done.stderr + done.stdout


@pytest.fixture
def database(environ: dict[str, str], tmp_path: Path) -> Iterator[Database]:
    settings = {**environ, "TINYBASE_DATABASE_BUSY_TIMEOUT_SECONDS": "1"}
    with migrate.opened(config.load(tmp_path, settings)) as engine:
        migrate.upgrade(engine)
        yield Database(engine)


def test_who_waits_too_long_for_a_lock_is_refused_as_busy(database: Database) -> None:
    with database.write() as work:
        work.connection.execute(COUNTERS.insert().values(name="one", value=1))
        with pytest.raises(Unavailable) as refused, database.write() as other:
            other.connection.execute(COUNTERS.insert().values(name="one", value=2))
    assert (refused.value.status, refused.value.code) == (503, "database_busy")
    assert refused.value.headers["Retry-After"]


def test_of_two_that_wait_for_each_other_one_is_refused_as_busy(database: Database) -> None:
    with database.write() as work:
        for name in ("one", "two"):
            work.connection.execute(COUNTERS.insert().values(name=name, value=0))
    barrier = threading.Barrier(2)
    refused: list[Unavailable] = []

    def count(first: str, second: str) -> None:
        try:
            with database.write() as work:
                for name in (first, second):
                    change = COUNTERS.update().where(COUNTERS.c.name == name)
                    work.connection.execute(change.values(value=COUNTERS.c.value + 1))
                    if name == first:
                        barrier.wait()
        except Unavailable as error:
            refused.append(error)

    threads = [
        threading.Thread(target=count, args=names) for names in (("one", "two"), ("two", "one"))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [error.code for error in refused] in (["database_busy"], ["database_busy"] * 2)
    with database.connect() as connection:
        counted = sorted(connection.scalars(COUNTERS.select().with_only_columns(COUNTERS.c.value)))
    assert counted == [2 - len(refused)] * 2


def test_a_full_disk_is_told_as_such(database: Database) -> None:
    raise_full = "DO $$ BEGIN RAISE EXCEPTION 'no space left' USING ERRCODE = '53100'; END $$"
    with pytest.raises(Unavailable) as refused, database.write() as work:
        work.connection.exec_driver_sql(raise_full)
    assert (refused.value.status, refused.value.code) == (507, "insufficient_storage")
