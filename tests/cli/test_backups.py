"""Backups of the database, and the way back."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from serving import clean_environment

from tinybase.db import migrate

from .conftest import Run


@pytest.fixture(autouse=True)
def notes(run: Run, instance: Path) -> None:
    run("collections", "create", "notes", "--schema", '{"fields": [{"name": "text"}]}')


def write(run: Run, text: str) -> None:
    run("records", "create", "notes", f'{{"text": "{text}"}}')


def texts(run: Run) -> list[str]:
    listed = run("records", "list", "notes", "--sort", "text", "--json").json
    return [record["data"]["text"] for record in listed]


def hidden(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if path.name.startswith(".")]


def test_a_backup_is_one_verified_private_file(run: Run, tmp_path: Path) -> None:
    write(run, "a")
    made = run("db", "backup", tmp_path / "one.db", "--json").json

    file = Path(made["file"])
    assert (made["rows"]["records"], made["rows"]["users"]) == (1, 1)
    assert made["bytes"] == file.stat().st_size
    assert file.stat().st_mode & 0o077 == 0
    assert {path.name for path in tmp_path.glob("*one*")} == {"one.db"}
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as copy:
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert copy.execute("PRAGMA journal_mode").fetchone() == ("delete",)


def test_in_a_folder_a_backup_gets_a_name_of_its_own(run: Run, tmp_path: Path) -> None:
    (folder := tmp_path / "backups").mkdir()
    assert "verified" in run("db", "backup", folder).err
    (file,) = folder.iterdir()
    assert file.name.startswith("tinybase-")


def test_a_file_that_is_there_is_never_overwritten(run: Run, tmp_path: Path) -> None:
    (file := tmp_path / "one.db").write_text("dear")
    assert "exists already" in run("db", "backup", file, code=1).err
    assert file.read_text() == "dear"


def test_what_is_restored_is_what_was_there_and_what_was_there_is_kept(
    run: Run, instance: Path, tmp_path: Path
) -> None:
    write(run, "a")
    run("db", "backup", tmp_path / "one.db")
    write(run, "b")

    restored = run("db", "restore", tmp_path / "one.db", "--yes", "--json").json
    assert (restored["rows"]["records"], restored["revision"]) == (1, migrate.HEAD)
    assert texts(run) == ["a"]
    kept = Path(restored["kept"])
    assert kept.parent == instance / "backups"
    assert hidden(kept.parent) == []

    run("db", "restore", kept, "--yes")
    assert texts(run) == ["a", "b"]


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "foreign", "newer"])
def test_a_bad_backup_changes_nothing(
    run: Run, instance: Path, tmp_path: Path, damage: str
) -> None:
    write(run, "a")
    file = tmp_path / "one.db"
    run("db", "backup", file)
    if damage == "missing":
        file.unlink()
    elif damage == "text":
        file.write_text("something else entirely" * 100)
    elif damage == "cut":
        os.truncate(file, file.stat().st_size // 2)
    else:
        with closing(sqlite3.connect(file)) as copy, copy:
            statement = "UPDATE alembic_version SET version_num = '9999'"
            copy.execute("DROP TABLE alembic_version" if damage == "foreign" else statement)

    error = run("db", "restore", file, "--yes", code=1).err
    assert error.count("\n") == 1
    assert texts(run) == ["a"]
    assert list((instance / "backups").iterdir()) == []


def test_nothing_is_restored_without_a_yes(run: Run, tmp_path: Path) -> None:
    run("db", "backup", tmp_path / "one.db")
    write(run, "b")
    run("db", "restore", tmp_path / "one.db", code=1)
    assert texts(run) == ["b"]


def test_nothing_is_restored_while_the_database_is_in_use(
    run: Run, instance: Path, tmp_path: Path
) -> None:
    run("db", "backup", tmp_path / "one.db")
    write(run, "b")
    with closing(sqlite3.connect(instance / "tinybase.db")) as other:
        other.execute("SELECT count(*) FROM records").fetchone()
        assert "in use" in run("db", "restore", tmp_path / "one.db", "--yes", code=1).err
        assert other.execute("SELECT count(*) FROM records").fetchone() == (1,)
    assert texts(run) == ["b"]


@pytest.mark.parametrize("state", ["missing", "damaged"])
def test_a_database_that_is_lost_or_damaged_is_replaced(
    run: Run, instance: Path, tmp_path: Path, state: str
) -> None:
    write(run, "a")
    run("db", "backup", tmp_path / "one.db")
    database = instance / "tinybase.db"
    if state == "missing":
        database.unlink()
    else:
        database.write_bytes(b"rubbish" * 1000)
    restored = run("db", "restore", tmp_path / "one.db", "--yes", "--json").json
    assert texts(run) == ["a"]
    if state == "damaged":
        assert Path(restored["kept"]).read_bytes().startswith(b"rubbish")
    else:
        assert restored["kept"] is None


@pytest.fixture
def writer(instance: Path) -> Iterator[list[int]]:
    """Write pairs of records in one transaction each, all the time; count them."""
    ended, written = threading.Event(), [0]

    def write() -> None:
        statement = (
            "INSERT INTO records SELECT lower(hex(randomblob(16))), id, NULL, '{}', 1, '', '' "
            "FROM collections"
        )
        with closing(sqlite3.connect(instance / "tinybase.db", timeout=30)) as connection:
            while not ended.is_set():
                with connection:
                    connection.execute(statement)
                    connection.execute(statement)
                written[0] += 1

    thread = threading.Thread(target=write)
    thread.start()
    yield written
    ended.set()
    thread.join()


def test_a_backup_under_load_has_whole_transactions(
    run: Run, tmp_path: Path, writer: list[int]
) -> None:
    counts = []
    for number in range(3):
        before = writer[0]
        rows = run("db", "backup", tmp_path / f"{number}.db", "--json").json["rows"]
        counts.append(rows["records"])
        assert rows["records"] % 2 == 0
        assert 2 * before <= rows["records"] <= 2 * writer[0] + 2
    assert writer[0] > 3


KILLED = """
import os, signal, sqlite3, sys
from tinybase.cli import main

left = int(sys.argv.pop())

def audit(event, arguments):
    global left
    named = any("tinybase.db" in str(each) or "restor" in str(each) for each in arguments)
    if named and event in ("sqlite3.connect", "os.rename", "os.link", "os.remove", "open"):
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(audit)
main(sys.argv[1:])
"""


def test_a_restore_that_is_killed_leaves_the_old_or_the_new(
    run: Run, instance: Path, tmp_path: Path
) -> None:
    write(run, "a")
    run("db", "backup", tmp_path / "one.db")
    write(run, "b")
    step, left, outcomes = int(os.environ.get("TINYBASE_TEST_KILL_STEP", "12")), 0, []
    while True:
        shutil.copytree(instance, copy := tmp_path / f"copy{left}")
        command = [sys.executable, "-c", KILLED, "-C", str(copy), "db", "restore"]
        ended = subprocess.run(
            [*command, str(tmp_path / "one.db"), "--yes", str(left)],
            env=clean_environment(),
            capture_output=True,
            check=False,
        )
        with closing(sqlite3.connect(copy / "tinybase.db")) as database:
            assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            outcomes += database.execute("SELECT count(*) FROM records").fetchone()
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL, ended.stderr
        left += step
    assert outcomes == sorted(outcomes, reverse=True)
    assert (outcomes[0], outcomes[-1], set(outcomes)) == (2, 1, {1, 2})
