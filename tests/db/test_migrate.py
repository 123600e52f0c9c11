from __future__ import annotations

import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine, inspect, text

from tinybase import config
from tinybase.db import db, migrate
from tinybase.errors import Conflict, Unavailable


def set_revision(engine: Engine, revision: str) -> None:
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :to"), {"to": revision})


def test_the_scripts_make_exactly_the_tables_of_the_models(engine: Engine) -> None:
    migrate.upgrade(engine)

    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, db.metadata) == []


def test_the_scripts_make_exactly_what_create_all_makes(engine: Engine, tmp_path: Path) -> None:
    migrate.upgrade(engine)
    (tmp_path / "other").mkdir()

    with migrate.opened(config.load(tmp_path / "other", {})) as other:
        db.metadata.create_all(other)
        for table in db.metadata.tables:
            ours, theirs = inspect(engine), inspect(other)
            assert ours.get_pk_constraint(table) == theirs.get_pk_constraint(table)
            assert ours.get_indexes(table) == theirs.get_indexes(table)
            assert ours.get_foreign_keys(table) == theirs.get_foreign_keys(table)
            assert ours.get_unique_constraints(table) == theirs.get_unique_constraints(table)


def test_the_constant_names_every_script_in_order() -> None:
    scripts = ScriptDirectory(str(Path(migrate.__file__).with_name("migrations")))

    found = [script.revision for script in scripts.walk_revisions()]

    assert tuple(reversed(found)) == migrate.REVISIONS
    assert scripts.get_heads() == [migrate.HEAD]


def test_every_script_can_be_undone(engine: Engine) -> None:
    from alembic import command
    from alembic.config import Config

    migrate.upgrade(engine)
    settings = Config()
    settings.set_main_option("script_location", str(Path(migrate.__file__).with_name("migrations")))

    with engine.begin() as connection:
        settings.attributes["connection"] = connection
        command.downgrade(settings, "base")

    assert inspect(engine).get_table_names() == ["alembic_version"]


def test_upgrade_tells_the_revision_before(engine: Engine) -> None:
    assert migrate.upgrade(engine) is None
    assert migrate.upgrade(engine) == migrate.HEAD
    assert migrate.current(engine) == migrate.HEAD


def test_asking_for_the_version_makes_no_file(engine: Engine, tmp_path: Path) -> None:
    assert migrate.current(engine) is None
    assert list(tmp_path.iterdir()) == []


def test_check_sends_people_with_an_empty_database_to_upgrade(engine: Engine) -> None:
    with pytest.raises(Unavailable, match="Run tinybase db upgrade"):
        migrate.check(engine)


def test_check_sends_people_with_an_old_database_to_upgrade(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    migrate.upgrade(engine)
    monkeypatch.setattr(migrate, "REVISIONS", (*migrate.REVISIONS, "9999"))
    monkeypatch.setattr(migrate, "HEAD", "9999")

    with pytest.raises(Unavailable, match="Run tinybase db upgrade"):
        migrate.check(engine)


@pytest.mark.parametrize("ask", [migrate.check, migrate.upgrade])
def test_a_newer_database_is_refused(engine: Engine, ask: object) -> None:
    migrate.upgrade(engine)
    set_revision(engine, "9999")

    with pytest.raises(Unavailable, match="Update TinyBase"):
        ask(engine)  # type: ignore[operator]


def test_a_database_of_somebody_else_is_refused(engine: Engine) -> None:
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE users (id INTEGER)"))

    with pytest.raises(Conflict, match="a database of its own"):
        migrate.upgrade(engine)


def test_a_script_that_fails_leaves_the_database_as_it_was(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_scripts = migrate._run_scripts

    def run_and_fail(connection: object) -> None:
        run_scripts(connection)  # type: ignore[arg-type]
        raise RuntimeError

    monkeypatch.setattr(migrate, "_run_scripts", run_and_fail)

    with pytest.raises(RuntimeError):
        migrate.upgrade(engine)
    assert inspect(engine).get_table_names() == []


def upgrade_in_a_process(folder: str, start: object, results: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    with migrate.opened(config.load(folder, {})) as engine:
        results.put(migrate.upgrade(engine))  # type: ignore[attr-defined]


def test_of_processes_that_upgrade_at_once_one_does_it_and_the_others_wait(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    start, results = context.Barrier(3), context.Queue()
    processes = [
        context.Process(target=upgrade_in_a_process, args=(str(tmp_path), start, results))
        for _ in range(3)
    ]
    for process in processes:
        process.start()
    befores = [results.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)

    assert sorted(befores, key=str) == sorted([None, migrate.HEAD, migrate.HEAD], key=str)
    assert [process.exitcode for process in processes] == [0, 0, 0]


def test_asking_for_the_version_does_not_import_alembic() -> None:
    code = "import sys, tinybase.db.migrate; sys.exit('alembic' in sys.modules)"

    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
