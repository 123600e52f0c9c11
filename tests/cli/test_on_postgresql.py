"""Commands on PostgreSQL, where they do something of its own."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from databases import URL, Postgres

from tinybase import config
from tinybase.db import Database, migrate
from tinybase.host.desired import DesiredState
from tinybase.host.metrics import Metrics
from tinybase.host.requests import RequestCounters
from tinybase.host.stats import HandlerStats

from .conftest import ADMIN, PASSWORD, Run

FIELDS = [{"name": "title", "unique": True}, {"name": "n", "type": "int", "indexed": True}]


@pytest.fixture(autouse=True)
def url(
    run: Run, postgres: Postgres, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[str]:
    """Make an instance on an empty database; commands work on it without being told."""
    made = postgres.new_database("commands")[URL]
    folder = tmp_path / "instance"
    monkeypatch.setenv("TINYBASE_INSTANCE", str(folder))
    options = ("--admin-email", ADMIN, "--admin-password", PASSWORD)
    run("init", folder, "--database", made, *options)
    yield made
    postgres.execute("DROP DATABASE commands WITH (FORCE)")


@pytest.fixture
def client(postgres: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the client of that PostgreSQL on the path; another one may be too old for it."""
    if not (postgres.programs / "pg_dump").exists():
        pytest.skip("this PostgreSQL came without pg_dump")
    monkeypatch.setenv("PATH", str(postgres.programs), prepend=":")


def make_notes(run: Run, *titles: str) -> None:
    run("collections", "create", "notes", "--schema", json.dumps({"fields": FIELDS}))
    for number, title in enumerate(titles):
        run("records", "create", "notes", json.dumps({"title": title, "n": number}))


def titles(run: Run) -> list[str]:
    listed = run("records", "list", "notes", "--sort", "title", "--json").json
    return [record["data"]["title"] for record in listed]


@pytest.mark.usefixtures("client")
def test_what_is_restored_is_what_was_there_and_what_was_there_is_kept(
    run: Run, tmp_path: Path
) -> None:
    make_notes(run, "a", "Ä\n\\.")
    made = run("db", "backup", tmp_path / "one.dump", "--json").json
    assert (made["rows"]["records"], made["rows"]["users"]) == (2, 1)
    assert (tmp_path / "one.dump").stat().st_mode & 0o077 == 0
    run("records", "create", "notes", '{"title": "b"}')

    restored = run("db", "restore", tmp_path / "one.dump", "--yes", "--json").json
    assert (restored["rows"]["records"], restored["revision"]) == (2, migrate.HEAD)
    assert titles(run) == ["a", "Ä\n\\."]
    twice = run("records", "create", "notes", '{"title": "a"}', code=1)
    assert "must be unique" in twice.err
    run("db", "restore", restored["kept"], "--yes")
    assert titles(run) == ["a", "b", "Ä\n\\."]


@pytest.mark.usefixtures("client")
def test_nothing_is_restored_while_the_database_is_in_use_or_from_a_bad_file(
    run: Run, url: str, tmp_path: Path
) -> None:
    file = tmp_path / "one.dump"
    run("db", "backup", file)
    with migrate.opened(config.load(tmp_path, {URL: url})) as engine, engine.connect():
        assert "in use" in run("db", "restore", file, "--yes", code=1).err
    file.write_bytes(file.read_bytes()[:2000])
    assert "no good dump" in run("db", "restore", file, "--yes", code=1).err
    assert run("users", "list", "--json").json[0]["email"] == ADMIN


def test_without_pg_dump_the_remedy_is_told(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    refused = run("db", "backup", tmp_path / "one.dump", code=1).err
    assert "apt install postgresql-client" in refused
    assert list(tmp_path.glob("*one*")) == []


@pytest.mark.parametrize("name", ["notes.jsonl", "notes.csv"])
def test_what_is_exported_is_imported_as_it_was(run: Run, tmp_path: Path, name: str) -> None:
    make_notes(run, "a", 'Ä "quoted", and\nbroken line', "\\N")
    before = run("records", "list", "notes", "--json").json
    run("records", "export", "notes", tmp_path / name)
    run("collections", "delete", "notes", "--yes")
    make_notes(run)
    run("records", "import", "notes", tmp_path / name)
    after = run("records", "list", "notes", "--json").json
    assert [(record["id"], record["data"]) for record in after] == [
        (record["id"], record["data"]) for record in before
    ]
    again = run("records", "import", "notes", tmp_path / name, "--json")
    assert len(run("records", "list", "notes", "--json").json) == 3, again


def test_a_newer_database_is_refused_by_every_command(run: Run, url: str, tmp_path: Path) -> None:
    with migrate.opened(config.load(tmp_path, {URL: url})) as engine, engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    for command in (["users", "list"], ["db", "upgrade"], ["serve", "--port", "1"]):
        refused = run(*command, code=1).err
        assert ("Update TinyBase" in refused, refused.count("\n")) == (True, 1)


def test_quarantine_and_counters_of_handlers_are_kept(url: str, tmp_path: Path) -> None:
    stats = HandlerStats(extension="tell", hook="on_startup", handler="tell.begin")
    stats.calls = 3
    with migrate.opened(config.load(tmp_path, {URL: url})) as engine:
        desired = DesiredState(Database(engine))
        before = desired.revision()
        desired.quarantine("tell", "it ended a worker")
        assert desired.read()["tell"].quarantine_reason == "it ended a worker"
        desired.set_enabled("tell", is_enabled=True)
        assert desired.read()["tell"].quarantine_reason is None
        assert desired.revision() == before + 2
        for _ in range(2):
            worker = Metrics(Database(engine))
            worker.publish([stats], RequestCounters(), now=True)
            worker.publish([stats], RequestCounters(), now=True)
        idle = HandlerStats(extension="tell", hook="on_startup", handler="tell.begin")
        (hook,) = Metrics(Database(engine)).read("tell", [idle])["hooks"]
        assert hook["calls"] == 6


@pytest.mark.parametrize("encoding", ["LATIN1", "SQL_ASCII"])
def test_a_database_that_cannot_hold_every_text_is_refused(
    run: Run, postgres: Postgres, encoding: str
) -> None:
    postgres.execute(
        f"CREATE DATABASE encoded ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' "
        "TEMPLATE template0"
    )
    try:
        for command in (["db", "upgrade"], ["serve", "--port", "1"]):
            refused = run(*command, env={URL: postgres.url("encoded")}, code=1).err
            assert (f"{encoding}; TinyBase needs UTF8" in refused, refused.count("\n")) == (True, 1)
    finally:
        postgres.execute("DROP DATABASE encoded WITH (FORCE)")
