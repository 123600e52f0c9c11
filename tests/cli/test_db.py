from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from tinybase import config
from tinybase.db import migrate

from .conftest import Run


def set_revision(instance: Path, revision: str) -> None:
    with migrate.opened(config.load(instance, {})) as engine, engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": revision})


def test_current_shows_both_revisions(run: Run, instance: Path) -> None:
    found = run("db", "current", "--json").json

    assert found == {"revision": migrate.HEAD, "needed": migrate.HEAD, "up_to_date": True}
    assert migrate.HEAD in run("db", "current").out


def test_a_missing_database_is_not_made_by_asking(run: Run, instance: Path) -> None:
    (instance / "tinybase.db").unlink()

    assert run("db", "current", "--json").json["revision"] is None
    assert not (instance / "tinybase.db").exists()


def test_upgrade_makes_the_tables_and_then_has_nothing_to_do(run: Run, instance: Path) -> None:
    (instance / "tinybase.db").unlink()

    assert run("db", "upgrade", "--json").json == {"before": None, "revision": migrate.HEAD}
    assert "Nothing to do" in run("db", "upgrade").err


@pytest.mark.parametrize("command", [["users", "list"], ["serve"]])
def test_commands_send_people_with_an_empty_database_to_upgrade(
    run: Run, instance: Path, command: list[str]
) -> None:
    (instance / "tinybase.db").unlink()

    assert "Run tinybase db upgrade" in run(*command, code=1).err


@pytest.mark.parametrize("command", [["users", "list"], ["serve"], ["db", "upgrade"]])
def test_a_newer_database_is_refused(run: Run, instance: Path, command: list[str]) -> None:
    set_revision(instance, "9999")

    assert "Update TinyBase" in run(*command, code=1).err


def test_a_file_that_is_no_database_is_one_line(run: Run, instance: Path) -> None:
    (instance / "tinybase.db").write_bytes(b"something else entirely" * 100)

    error = run("users", "list", code=1).err

    assert "file is not a database" in error
    assert error.count("\n") == 1
