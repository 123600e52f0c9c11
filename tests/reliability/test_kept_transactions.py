"""Transactions that extensions keep open: rolled back from outside, and nobody waits for them."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from serving import Server

from .conftest import ADMIN, PASSWORD, Site, make_collection

BUSY_SECONDS = 3

KEEPER = """
    import os, time
    from pathlib import Path
    from sqlalchemy import text
    from tinybase.db import db
    from tinybase.extensions import on_function_call, on_record_create
    from tinybase.functions import register

    FOLDER = Path(os.environ["KEEPER"])

    def keep(name, session, after):
        session.execute(text("UPDATE users SET email = email || '.kept'"))
        (FOLDER / f"{name}.kept").touch()
        while not (FOLDER / f"{name}.go-on").exists():
            time.sleep(0.01)
        try:
            after()
            told = "done"
        except BaseException as error:
            told = f"{type(error).__name__}: {error}"
            raise
        finally:
            (FOLDER / f"{name}.new").write_text(told)
            (FOLDER / f"{name}.new").rename(FOLDER / f"{name}.told")

    @on_record_create(collection="notes")
    def told(event, ctx):
        name = event.data["title"]
        if name == "ctx.db":
            keep(name, ctx.db, ctx.db.commit)
        if name == "db.session":
            keep(name, db.session, lambda: db.session.execute(text("SELECT 1")))
        if name == "ctx.records":
            keep(name, ctx.db, lambda: ctx.records.create("notes", {"title": "too late"}))
        if name == "raw":
            raw = ctx.db.connection().connection
            keep(name, ctx.db, lambda: raw.execute("UPDATE users SET email = email || '.late'"))
            time.sleep(3600)

    @on_function_call()
    def asked(event, ctx):
        if event.function_name == "pay":
            keep("asked", ctx.db, ctx.db.commit)

    @register(name="pay", auth="public")
    def pay(): return "paid"

    @register(name="keep", auth="public")
    def keeping(ctx): keep("function", ctx.db, ctx.db.commit)
"""


class Keeper:
    """A served instance with an extension that writes, and then waits until it may go on."""

    def __init__(self, server: Server, site: Site, folder: Path) -> None:
        self.server = server
        self._folder = folder
        self._database = site.instance / "tinybase.db"
        self._token = server.login(ADMIN, PASSWORD)
        make_collection(server, self._token, "notes")

    def create(self, title: str) -> float:
        """Create a record; return how long that took."""
        began = time.monotonic()
        path = "/api/collections/notes/records"
        answer = self.server.request("POST", path, {"title": title}, token=self._token)
        assert answer.status == 201, answer.json
        return time.monotonic() - began

    def call(self, function: str) -> Any:
        """Call a function."""
        path = f"/api/functions/{function}"
        return self.server.request("POST", path, {}, token=self._token).json

    def wait_until_it_keeps(self, name: str) -> None:
        """Wait until the extension has written."""
        self.server.wait_for((self._folder / f"{name}.kept").exists)

    def go_on(self, name: str) -> str:
        """Let the extension go on; return what it is told."""
        (self._folder / f"{name}.go-on").touch()
        told = self._folder / f"{name}.told"
        self.server.wait_for(told.exists)
        return told.read_text()

    def emails(self) -> list[str]:
        """Return what is stored of the users."""
        with closing(sqlite3.connect(f"file:{self._database}?mode=ro", uri=True)) as connection:
            return [row[0] for row in connection.execute("SELECT email FROM users")]


@contextmanager
def keeping(prepared: Path, folder: Path, **settings: str) -> Iterator[Keeper]:
    shutil.copytree(prepared, folder / "instance")
    site = Site(folder)
    site.add("keeper", KEEPER)
    with site.serve(1, KEEPER=str(folder), **settings) as server:
        yield Keeper(server, site, folder)
        # Stopped gently, it would wait for what hangs.
        os.killpg(server.process.pid, signal.SIGKILL)


@pytest.fixture(scope="module")
def keeper(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    """Return an instance where nobody waits longer than the others do for a write."""
    settings = {"TINYBASE_DATABASE_BUSY_TIMEOUT_SECONDS": str(BUSY_SECONDS)}
    with keeping(prepared, tmp_path_factory.mktemp("keeper"), **settings) as served:
        yield served


@pytest.fixture(scope="module")
def hurried(prepared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Keeper]:
    """Return an instance where writes wait for long, but nobody waits for extensions."""
    settings = {
        "TINYBASE_DATABASE_BUSY_TIMEOUT_SECONDS": "60",
        "TINYBASE_HOOKS_DECIDE_SECONDS": "1",
        "TINYBASE_HOOKS_HANG_SECONDS": "1",
        "TINYBASE_FUNCTIONS_TIMEOUT_SECONDS": "1",
    }
    with keeping(prepared, tmp_path_factory.mktemp("hurried"), **settings) as served:
        yield served


WHY = f"it kept all others from writing for more than {BUSY_SECONDS / 2:g} s"


@pytest.mark.parametrize("how", ["ctx.db", "db.session", "ctx.records"])
def test_a_handler_that_writes_and_then_hangs_keeps_nobody_from_writing(
    how: str, keeper: Keeper
) -> None:
    assert keeper.create(how) < BUSY_SECONDS
    keeper.wait_until_it_keeps(how)
    assert max(keeper.create("another") for _ in range(5)) < BUSY_SECONDS
    assert "The handler keeper:told of keeper can use its database session no more" in (
        keeper.server.output
    )
    told = keeper.go_on(how)
    assert told.startswith("Conflict: ")
    assert WHY in told
    assert keeper.emails() == [ADMIN]


def test_a_connection_that_was_taken_back_is_of_no_more_use_to_who_kept_a_hold_of_it(
    keeper: Keeper,
) -> None:
    keeper.create("raw")
    keeper.wait_until_it_keeps("raw")
    keeper.create("another")
    keeper.go_on("raw")
    assert max(keeper.create("another") for _ in range(5)) < BUSY_SECONDS
    assert keeper.emails() == [ADMIN]


def test_a_function_that_writes_and_then_hangs_keeps_nobody_from_writing(keeper: Keeper) -> None:
    answers: list[Any] = []
    thread = threading.Thread(target=lambda: answers.append(keeper.call("keep")))
    thread.start()
    keeper.wait_until_it_keeps("function")
    assert max(keeper.create("another") for _ in range(3)) < BUSY_SECONDS
    keeper.go_on("function")
    thread.join()
    (answer,) = answers
    assert answer["status"] == "failed"
    assert WHY in answer["error_message"]
    assert keeper.emails() == [ADMIN]


def test_what_a_handler_has_open_that_did_not_answer_in_time_is_rolled_back(
    hurried: Keeper,
) -> None:
    assert hurried.call("pay")["result"] == "paid"
    hurried.create("another")
    assert "it did not answer within 1 s" in hurried.go_on("asked")
    assert hurried.emails() == [ADMIN]


def test_what_a_handler_has_open_that_hangs_is_rolled_back(hurried: Keeper) -> None:
    hurried.create("ctx.db")
    hurried.wait_until_it_keeps("ctx.db")
    hurried.create("another")
    assert "it ran for more than 1 s" in hurried.go_on("ctx.db")
    assert hurried.emails() == [ADMIN]


def test_what_a_function_has_open_that_missed_its_deadline_is_rolled_back(
    hurried: Keeper,
) -> None:
    assert hurried.call("keep")["status"] == "failed"
    hurried.create("another")
    assert "it ran longer than 1 s" in hurried.go_on("function")
    assert hurried.emails() == [ADMIN]
