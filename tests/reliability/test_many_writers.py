"""Many who write at once: nobody overwrites another unnoticed, and nobody fails.

``TINYBASE_TEST_LOAD_SECONDS`` (6) says how long four workers are kept busy.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import Server

from . import planted_writes
from .ledger import RECORDS, Ledger, Request, is_sound, read_all
from .load import Connection
from .nursery import Asked, Nest, Nursery, Plant, ask, put

SECONDS = float(os.environ.get("TINYBASE_TEST_LOAD_SECONDS", "6"))
PROCESSES, CLIENTS = 4, 16


def raise_together(port: int, token: str, path: str, times: int) -> tuple[int, int]:
    """Raise a number by many clients; return how often that was acknowledged, and the number."""
    left = threading.Semaphore(times)

    def client(_: int) -> int:
        connection, done = Connection(port), 0
        while left.acquire(blocking=False):
            status = 412
            while status == 412:
                _, body = connection.ask(Request("GET", path, None, {}).encoded(token))
                seen = json.loads(body)
                headers = {"If-Match": f'"{seen["version"]}"'}
                change = Request("PATCH", path, {"n": seen["data"]["n"] + 1}, {}, headers)
                status, body = connection.ask(change.encoded(token))
            assert status == 200, body
            done += 1
        connection.close()
        return done

    with ThreadPoolExecutor(CLIENTS) as pool:
        done = sum(pool.map(client, range(CLIENTS)))
    (record,) = read_all(port, token)
    return done, record["data"]["n"]


@pytest.mark.parametrize("plant", [None, planted_writes.compare_before_the_write])
def test_updates_that_overwrite_another_are_found(
    plant: Plant | None, nursery: Nursery, grown: tuple[str, Path], tmp_path: Path
) -> None:
    token, template = grown
    put(template, tmp_path / "instance")
    nest = Nest(tmp_path / "instance", plant=plant)
    made = nursery.do(ask, Nest(nest.folder), Asked("POST", RECORDS, {"n": 0}, token))[0]
    path = f"{RECORDS}/{made.body['id']}"

    with nursery.serving(nest, PROCESSES) as flock:
        acknowledged, number = raise_together(flock.port, token, path, 100)

    assert acknowledged == 100
    assert (number == 100) == (plant is None)


def test_of_fifty_who_register_one_address_one_gets_an_account(
    nursery: Nursery, grown: tuple[str, Path], tmp_path: Path
) -> None:
    put(grown[1], tmp_path / "instance")
    spellings = ["Ada@example.com", "ada@EXAMPLE.com", "ADA@example.com"]

    with nursery.serving(Nest(tmp_path / "instance"), PROCESSES) as flock:

        def register(number: int) -> tuple[int, str]:
            body = {"email": spellings[number % 3], "password": "correct horse battery"}
            connection = Connection(flock.port)
            request = Request("POST", "/api/auth/register", body, {}).encoded("")
            status, answer = connection.ask(request.replace(b"Authorization: Bearer \r\n", b""))
            connection.close()
            return status, json.loads(answer).get("code", "")

        with ThreadPoolExecutor(50) as pool:
            answers = Counter(pool.map(register, range(50)))

    assert answers == {(201, ""): 1, (400, "email_taken"): 49}


@contextmanager
def disturbed(database: Path) -> Iterator[None]:
    """Read for long and write the log back all the while, as backups and administrators do."""
    is_over = threading.Event()

    def disturb() -> None:
        with (
            closing(sqlite3.connect(database)) as reader,
            closing(sqlite3.connect(database)) as writer,
        ):
            while not is_over.wait(0.05):
                reader.execute("BEGIN")
                reader.execute("SELECT count(*) FROM records").fetchall()
                writer.execute("PRAGMA wal_checkpoint(PASSIVE)")
                is_over.wait(0.3)
                reader.execute("COMMIT")

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()


def busy_for(server: Any, ledger: Ledger, folder: Path, seconds: float) -> list[str]:
    """Keep a server busy; return what went wrong."""
    with disturbed(folder / "tinybase.db"):
        ledger.during(server.port, lambda: time.sleep(seconds))
    problems = ledger.problems(server.port)
    return problems if is_sound(folder / "tinybase.db") else [*problems, "broken"]


def test_four_workers_under_load_never_find_the_database_locked(
    grown: tuple[str, Path], tmp_path: Path
) -> None:
    put(grown[1], tmp_path / "instance")
    ledger = Ledger(grown[0], CLIENTS)
    settings = {"TINYBASE_RATE_LIMIT_ENABLED": "false"}

    with Server(tmp_path / "instance", "--workers", str(PROCESSES), env=settings) as server:
        assert busy_for(server, ledger, tmp_path / "instance", SECONDS) == []

    print(ledger.outcomes)
    assert set(ledger.outcomes) <= {"200", "201", "204"}
    assert "locked" not in server.output


def test_a_lock_that_is_taken_late_is_found(
    nursery: Nursery, grown: tuple[str, Path], tmp_path: Path
) -> None:
    put(grown[1], tmp_path / "instance")
    ledger = Ledger(grown[0], CLIENTS)
    nest = Nest(tmp_path / "instance", plant=planted_writes.take_the_lock_late)

    with nursery.serving(nest, PROCESSES) as flock:
        assert busy_for(flock, ledger, nest.folder, 2) != []
