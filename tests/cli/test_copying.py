"""Moving an instance to another database."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from databases import URL, Postgres
from serving import Server, clean_environment

from .conftest import ADMIN, PASSWORD, Run

FIELDS = [
    {"name": "title", "unique": True},
    {"name": "n", "type": "float", "indexed": True},
    {"name": "tags", "type": "list"},
]
TITLES = ["Ärger", "zebra", "Zebra", "a\nb", "日本", "", "\\N", "\\.", "x\ty"]


@pytest.fixture
def url(postgres: Postgres) -> Iterator[str]:
    """Return the address of an empty database."""
    made = postgres.new_database("target")[URL]
    yield made
    postgres.execute("DROP DATABASE target WITH (FORCE)")


@pytest.fixture
def notes(run: Run, instance: Path) -> None:
    """Make a collection with records of all kinds."""
    run("collections", "create", "notes", "--schema", json.dumps({"fields": FIELDS}))
    for number, title in enumerate(TITLES):
        data = {"title": title, "n": number / 3, "tags": [1, 1.0, True, None, title]}
        run("records", "create", "notes", json.dumps(data))


def query(url: str, statement: str) -> list[Any]:
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        return connection.execute(statement).fetchall()  # type: ignore[arg-type]


PATHS = [
    "/api/collections",
    "/api/collections/notes",
    "/api/collections/notes/records?sort=title",
    "/api/collections/notes/records?sort=-n&limit=3&offset=6",
    "/api/collections/notes/records?filter[n][gt]=1&sort=-title",
    "/api/collections/notes/records?filter[tags][contains]=1",
    "/api/admin/settings",
    "/api/admin/extensions",
    "/api/auth/me",
]


def test_an_instance_that_has_moved_answers_as_before(run: Run, extended: Path, url: str) -> None:
    run("-C", extended, "extensions", "disable", "beta")
    with Server(extended) as server:
        token = server.login(ADMIN, PASSWORD)
        body = {"name": "notes", "schema": {"fields": FIELDS}}
        assert server.request("POST", "/api/collections", body, token=token).status == 201
        for number, title in enumerate(TITLES):
            data = {"title": title, "n": number / 3, "tags": [1, 1.5, True, None, title]}
            server.request("POST", "/api/collections/notes/records", data, token=token)
        server.request("PATCH", "/api/admin/settings", {"instance_name": "ours"}, token=token)
        before = [server.request("GET", path, token=token) for path in PATHS]
        refused = run("-C", extended, "db", "copy", "--to", url, code=1)
        assert "in use" in refused.err
    assert [answer.status for answer in before] == [200] * len(PATHS)

    copied = run("-C", extended, "db", "copy", "--to", url)
    assert f'url = "{url}"' in copied.err

    with Server(extended, env={URL: url}) as server:
        after = [server.request("GET", path, token=token) for path in PATHS]
        for was, is_ in zip(before, after, strict=True):
            assert is_.json == was.json
        twice = {"title": "zebra"}
        path = "/api/collections/notes/records"
        assert server.request("POST", path, twice, token=token).json["code"] == "unique_violation"
        assert "was missing" not in server.output


@pytest.mark.usefixtures("notes")
def test_a_copy_has_the_indexes_and_is_verified_table_by_table(run: Run, url: str) -> None:
    copied = run("db", "copy", "--to", url, "--json").json
    assert (copied["rows"]["records"], copied["rows"]["users"]) == (len(TITLES), 1)
    assert (copied["url"], copied["kept"]) == (url, 0)
    made = "SELECT left(indexname, 10) FROM pg_indexes WHERE indexname ~ '[0-9a-f]{24}'"
    names = query(url, made)
    assert sorted(names) == [("ix_records",), ("ux_records",)]
    again = run("db", "copy", "--to", url, "--json").json
    assert again["digests"] == copied["digests"]
    assert again["kept"] == sum(copied["rows"].values())


@pytest.mark.usefixtures("notes")
def test_the_way_back_is_the_same_command(run: Run, instance: Path, url: str) -> None:
    there = run("db", "copy", "--to", url, "--json").json
    back = run("db", "copy", "--to", "sqlite:///back.db", "--json", env={URL: url}).json
    assert back["digests"] == there["digests"]

    def listed(database: str) -> Any:
        return run("records", "list", "notes", "--json", env={URL: database}).json

    assert listed("sqlite:///back.db") == listed(url) == listed("sqlite:///tinybase.db")
    with closing(sqlite3.connect(instance / "back.db")) as copy:
        (made,) = copy.execute(
            "SELECT count(*) FROM sqlite_master WHERE name GLOB '[iu]x_records_[0-9a-f]*' "
            "AND length(name) = 35"
        ).fetchone()
    assert made == 2


KILLED = """
import os, signal, sys
from tinybase.cli import main
from tinybase.db import copying, portable_rows

left, portable_rows._BATCH = int(sys.argv.pop()), 2
append = copying.append

def counted(*arguments):
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    append(*arguments)

copying.append = counted
main(sys.argv[1:])
"""


@pytest.mark.usefixtures("notes")
def test_a_copy_that_is_killed_is_carried_on(run: Run, instance: Path, url: str) -> None:
    command = ["-C", str(instance), "db", "copy", "--to", url]
    copied = []
    for left in (4, 2):
        ended = subprocess.run(
            [sys.executable, "-c", KILLED, *command, str(left)],
            env=clean_environment(),
            capture_output=True,
            check=False,
        )
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        copied += query(url, "SELECT count(*) FROM records")
        assert "unfinished copy" in run("users", "list", env={URL: url}, code=1).err
    assert copied[0] < copied[1] < (len(TITLES),)
    assert run("db", "copy", "--to", url, "--dry-run", "--json").json["target"] == "unfinished"

    done = run("db", "copy", "--to", url, "--json").json
    assert done["rows"]["records"] == len(TITLES)
    assert done["kept"] == copied[1][0] + 2  # and the collection and its admin
    assert run("records", "list", "notes", "--json", env={URL: url}).json == (
        run("records", "list", "notes", "--json").json
    )


@pytest.mark.usefixtures("notes")
def test_what_changed_since_it_was_killed_is_copied_anew(
    run: Run, instance: Path, url: str
) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", KILLED, "-C", str(instance), "db", "copy", "--to", url, "5"],
        env=clean_environment(),
        capture_output=True,
        check=False,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert query(url, "SELECT count(*) > 0 FROM records") == [(True,)]
    first = run("records", "list", "notes", "--sort", "created_at", "--json").json[0]["id"]
    run("records", "delete", "notes", first)
    run("records", "create", "notes", '{"title": "new"}')

    run("db", "copy", "--to", url)
    listed = run("records", "list", "notes", "--sort", "title", "--json", env={URL: url}).json
    assert listed == run("records", "list", "notes", "--sort", "title", "--json").json


def test_a_dry_run_makes_nothing(run: Run, instance: Path, url: str) -> None:
    plan = run("db", "copy", "--to", url, "--dry-run", "--json").json
    assert (plan["target"], plan["rows"]["users"]) == ("empty", 1)
    assert query(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]
    run("db", "copy", "--to", "sqlite:///copy.db", "--dry-run")
    assert not (instance / "copy.db").exists()


@pytest.mark.parametrize(
    ("made", "words"),
    [
        ("CREATE TABLE parcels (id integer)", "parcels"),
        ("CREATE TABLE users (id integer)", "users"),
    ],
)
@pytest.mark.usefixtures("instance")
def test_a_database_of_somebody_else_is_refused(run: Run, url: str, made: str, words: str) -> None:
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        connection.execute(made)  # type: ignore[arg-type]
    refused = run("db", "copy", "--to", url, code=1)
    assert (words in refused.err, "empty database" in refused.err) == (True, True)
    assert query(url, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(1,)]


def test_another_instance_is_never_overwritten(
    run: Run, instance: Path, tmp_path: Path, url: str
) -> None:
    options = ("--admin-email", "b@example.com", "--admin-password", PASSWORD)
    run("init", tmp_path / "other", "--database", url, *options)
    assert "has the data of an instance" in run("db", "copy", "--to", url, code=1).err
    assert query(url, "SELECT email FROM users") == [("b@example.com",)]


@pytest.mark.usefixtures("instance")
def test_a_database_is_not_copied_to_itself(run: Run) -> None:
    assert "are the same" in run("db", "copy", "--to", "sqlite:///tinybase.db", code=1).err


@pytest.mark.usefixtures("notes")
def test_a_row_that_does_not_fit_is_named_and_the_rest_follows(
    run: Run, instance: Path, url: str
) -> None:
    def change(created_at: str) -> None:
        with closing(sqlite3.connect(instance / "tinybase.db")) as connection, connection:
            connection.execute("UPDATE collections SET created_at = ?", [created_at])

    change("yesterday evening")
    refused = run("db", "copy", "--to", url, code=1).err.splitlines()[-1]
    assert ("collections" in refused, "yesterday evening" in refused) == (True, True)
    change("2026-01-31T12:00:00.000000Z")
    run("db", "copy", "--to", url)


@pytest.mark.usefixtures("notes")
def test_a_text_that_postgresql_cannot_index_is_named(run: Run, url: str) -> None:
    long = "".join(map(chr, range(0x4E00, 0x4E00 + 9000)))
    long_one = json.dumps({"title": long})
    run("records", "create", "notes", long_one)
    refused = run("db", "copy", "--to", url, code=1).err.splitlines()[-1]
    assert "notes.title cannot be indexed" in refused
    found = run("records", "list", "notes", "--sort", "-created_at", "--json").json[0]["id"]
    run("records", "delete", "notes", found)
    run("db", "copy", "--to", url)
