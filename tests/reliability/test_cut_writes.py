"""Writes are killed at every system call, and their disk fails at every one.

What is there afterwards is what was there before, or what the write makes of it, and an
answer with success is true. ``TINYBASE_TEST_CUT_STEP`` (2) says at every how many of its calls
a write is killed or failed.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.config import Config as AlembicConfig
from serving import clean_environment
from sqlalchemy import Engine

from tinybase import config
from tinybase.db import migrate

from . import planted_writes
from .ledger import RECORDS, is_sound
from .nursery import Asked, Nest, Nursery, Plant, Watched, ask, put, watch
from .seccomp import Call, Unsupported, Watcher
from .warm import Ended, Running, run

STEP = int(os.environ.get("TINYBASE_TEST_CUT_STEP", "2"))
RECORD = "0190b6c3-7a3c-7000-8000-000000000001"
PATH = f"{RECORDS}/{RECORD}"
TABLES = ("records", "idempotency_keys")

State = list[tuple[Any, ...]]


@dataclass(frozen=True)
class Write:
    """A write, and what it starts from and leaves: the records, without what differs each time."""

    asked: Asked
    nest: Nest
    template: Path
    before: State
    after: State
    calls: int


class Ground:
    """Where writes are carried out, on a copy of an instance each time."""

    def __init__(self, nursery: Nursery, grown: tuple[str, Path], folder: Path) -> None:
        self._nursery = nursery
        self.token, template = grown
        self.folder = folder / "instance"
        self.template = folder / "template"
        put(template, self.template)
        self.ask(Asked("PUT", PATH, {"key": "old", "n": 1}, self.token), folder=self.template)

    def ask(self, *asked: Asked, folder: Path | None = None) -> list[Any]:
        """Have requests answered by a server that nobody harms."""
        replies: list[Any] = self._nursery.do(ask, Nest(folder or self.folder), *asked)
        assert len(replies) == len(asked)
        return replies

    def writes(self, plant: Plant | None = None) -> dict[str, Write]:
        """Return the writes: one of each kind."""
        data = {"key": "new", "n": 2}
        batch = [{"op": "create", "data": data} for _ in range(60)]
        change = {"op": "update", "id": RECORD, "data": {"n": 7}}
        asked = {
            "create": Asked("POST", RECORDS, data, self.token),
            "update": Asked("PATCH", PATH, {"n": 2}, self.token),
            "delete": Asked("DELETE", PATH, None, self.token),
            "batch": Asked(
                "POST", f"{RECORDS}/batch", {"operations": [*batch, change]}, self.token
            ),
        }
        return {name: self._write(each, plant) for name, each in asked.items()}

    def _write(self, asked: Asked, plant: Plant | None) -> Write:
        nest = Nest(self.folder, plant=plant)
        put(self.template, self.folder)
        before = self.state()
        seen: Watched = self._nursery.do(watch, nest, asked, keep=True)
        assert seen.replies[0].status < 300, seen.replies
        calls = sum(event.name != "ack" for event in seen.events)
        return Write(asked, nest, self.template, before, self.state(), calls)

    def state(self) -> State:
        """Return what is stored, after a recovery, without what differs each time."""
        with closing(sqlite3.connect(self.folder / "tinybase.db")) as connection:
            rows = "SELECT json_extract(data, '$.key'), json_extract(data, '$.n'), version"
            return sorted(connection.execute(f"{rows} FROM records"))

    def struck(self, write: Write, *more: Asked, strike: Callable[..., bool]) -> Watched:
        """Carry out a write that something is done to, and then more in the same server."""
        put(write.template, self.folder)
        seen: Watched = self._nursery.do(watch, write.nest, write.asked, *more, strike=strike)
        return seen

    def kill(self, write: Write, point: int) -> list[str]:
        """Kill the server at a call; return what is wrong then."""
        seen = self.struck(write, strike=partial(_kill_at, point))
        return self._judged(write, seen, f"killed at call {point}")

    def fail(self, write: Write, point: int, error: int) -> list[str]:
        """Let the disk fail at a call; return what is wrong then, and when it works again."""
        look = Asked("GET", PATH, None, self.token)
        again = Asked("POST", RECORDS, {"key": "again", "n": 1}, self.token)
        seen = self.struck(write, look, again, strike=partial(_fail_at, point, error))
        at = f"{errno.errorcode[error]} at call {point}"
        statuses = [reply.status for reply in seen.replies]
        if len(statuses) != 3:
            return [f"{at}: {statuses}"]
        problems = [f"{at}: {seen.replies[0]}"] if not _is_foreseen(seen.replies[0]) else []
        is_gone = write.asked.method == "DELETE" and statuses[0] < 300
        if statuses[1:] != [404 if is_gone else 200, 201]:
            problems.append(f"{at}, and then {seen.replies[1:]}")
        state = [row for row in self.state() if row[0] != "again"]
        wanted = write.after if statuses[0] < 300 else write.before
        if state != wanted:
            problems.append(f"{at}: answered {statuses[0]}, and there is {state}")
        return problems if is_sound(self.folder / "tinybase.db") else [*problems, f"{at}: broken"]

    def _judged(self, write: Write, seen: Watched, at: str) -> list[str]:
        if not is_sound(self.folder / "tinybase.db"):
            return [f"{at}: the database is broken"]
        state = self.state()
        if state not in (write.before, write.after):
            return [f"{at}: there is {state}"]
        if seen.replies and state != write.after:
            return [f"{at}: {seen.replies[0].status} was answered, and nothing is there"]
        return []


def _kill_at(point: int, pid: int, watcher: Watcher, call: Call, number: int, _: int) -> bool:
    if number == point:
        os.kill(pid, signal.SIGKILL)
    return number == point


def _fail_at(
    point: int, error: int, pid: int, watcher: Watcher, call: Call, number: int, answers: int
) -> bool:
    """Fail one call, or, when there is no room, all that need some until there is an answer."""
    needs_room = number >= point and call.takes_space()
    is_due = answers == 0 and (needs_room if error == errno.ENOSPC else number == point)
    if is_due and "/instance/" in call.path() and not call.path().endswith("/output"):
        watcher.fail(call, error)
        return True
    return False


def _is_foreseen(reply: Any) -> bool:
    """Say whether an answer is a success, or tells of the disk as the contract has it."""
    if reply.status < 300:
        return True
    told = {(507, "insufficient_storage"), (503, "not_ready"), (503, "database_busy")}
    keys = {"detail", "code", "request_id"}
    return (reply.status, reply.body["code"]) in told and reply.body.keys() == keys


@pytest.fixture(scope="module")
def ground(
    nursery: Nursery, grown: tuple[str, Path], tmp_path_factory: pytest.TempPathFactory
) -> Ground:
    return Ground(nursery, grown, tmp_path_factory.mktemp("cut"))


@pytest.fixture(scope="module")
def writes(ground: Ground) -> dict[str, Write]:
    try:
        return ground.writes()
    except Unsupported as error:
        pytest.skip(str(error))


def points(write: Write) -> Iterator[int]:
    return iter(range(1, write.calls + 1, STEP))


@pytest.mark.parametrize("name", ["create", "update", "delete", "batch"])
def test_a_write_that_is_killed_is_done_or_not(
    name: str, ground: Ground, writes: dict[str, Write]
) -> None:
    problems = [item for point in points(writes[name]) for item in ground.kill(writes[name], point)]

    assert problems == []


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EIO])
@pytest.mark.parametrize("name", ["create", "update", "batch"])
def test_a_disk_that_fails_is_told_and_nothing_is_lost(
    name: str, error: int, ground: Ground, writes: dict[str, Write]
) -> None:
    write = writes[name]
    problems = [item for point in points(write) for item in ground.fail(write, point, error)]

    assert problems == []


def test_a_write_without_a_journal_is_found(ground: Ground, writes: dict[str, Write]) -> None:
    batch = ground.writes(planted_writes.keep_no_journal)["batch"]

    assert any(ground.kill(batch, point) for point in range(1, batch.calls + 1))


def test_a_disk_that_fails_in_silence_is_found(ground: Ground, writes: dict[str, Write]) -> None:
    create = ground.writes(planted_writes.swallow_faults)["create"]

    assert any(ground.fail(create, point, errno.ENOSPC) for point in range(1, create.calls + 1))


class Upgrade:
    """``tinybase db upgrade`` of a database of the first version, which has an account."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder / "instance"
        self._old = folder / "old.db"
        self._folder.mkdir(parents=True)
        (self._folder / "tinybase.toml").write_text("")
        with migrate.opened(config.load(folder, {"TINYBASE_DATABASE_URL": _OLD})) as engine:
            _make_first_version(engine)
        self.before = _things_in(self._old)

    def run(self, point: int = 0, plant: Callable[[], None] | None = None) -> Ended:
        """Run it on a copy of the database, and kill it at a call."""
        for left in self._folder.glob("tinybase.db*"):
            left.unlink()
        shutil.copy(self._old, self._folder / "tinybase.db")
        return self.go_on(strike=_kill_command if point else None, point=point or 1, plant=plant)

    def go_on(self, **options: Any) -> Ended:
        """Run it on what is there."""
        line = ["-C", str(self._folder), "db", "upgrade"]
        return run(line, clean_environment(), **options)

    def state(self) -> State:
        """Return what is in the database."""
        return _things_in(self._folder / "tinybase.db")


def _upgraded(folder: Path, step: int, plant: Callable[[], None] | None = None) -> list[str]:
    """Kill an upgrade at every so many of its calls; return the first thing that is wrong."""
    upgrade = Upgrade(folder)
    calls, after = upgrade.run(plant=plant).calls, upgrade.state()
    if calls < 20 or after == upgrade.before:
        return [f"it did nothing: {after}"]
    for point in range(1, calls + 1, step):
        upgrade.run(point, plant)
        if upgrade.state() not in (upgrade.before, after):
            return [f"killed at call {point}: {upgrade.state()}"]
        again = upgrade.go_on()
        if again.code or upgrade.state() != after:
            return [f"again after call {point}: {again.err}"]
    return []


_OLD = "sqlite:///old.db"
_ACCOUNT = """
INSERT INTO users (id, email, email_key, password_hash, is_admin, is_active, created_at, updated_at)
VALUES ('0190b6c37a3c70008000000000000001', 'a@b.c', 'a@b.c', 'x', 1, 1, '2024-01-01 00:00:00',
    '2024-01-01 00:00:00')
"""


def _make_first_version(engine: Engine) -> None:
    settings = AlembicConfig()
    settings.set_main_option("script_location", str(Path(migrate.__file__).parent / "migrations"))
    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.upgrade(settings, migrate.REVISIONS[0])
        connection.exec_driver_sql(_ACCOUNT)


def _things_in(database: Path) -> State:
    if not is_sound(database):
        return [("broken",)]
    with closing(sqlite3.connect(database)) as connection:
        version = connection.execute("SELECT version_num FROM alembic_version").fetchall()
        tables = connection.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
        return [*version, *tables, *connection.execute("SELECT email FROM users")]


def _kill_command(running: Running, call: Call, later: int) -> bool:
    running.kill(with_children=True)
    return True


def test_an_upgrade_that_is_killed_is_done_or_not(nursery: Nursery, tmp_path: Path) -> None:
    assert nursery.do(_upgraded, tmp_path, STEP * 3) == []


def test_an_upgrade_in_several_transactions_is_found(nursery: Nursery, tmp_path: Path) -> None:
    problems = nursery.do(_upgraded, tmp_path, 2, planted_writes.commit_every_statement)

    assert problems != []
