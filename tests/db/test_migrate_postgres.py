from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import inspect

from tinybase.config import Config
from tinybase.db import db, migrate


def test_the_scripts_make_exactly_the_tables_of_the_models(postgres_config: Config) -> None:
    with migrate.opened(postgres_config) as engine:
        assert migrate.current(engine) is None
        migrate.upgrade(engine)
        migrate.check(engine)

        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts={"compare_type": True})
            assert compare_metadata(context, db.metadata) == []


def test_of_several_that_upgrade_at_once_one_does_it(postgres_config: Config) -> None:
    befores: list[str | None] = []
    barrier = threading.Barrier(4)

    def upgrade() -> None:
        with migrate.opened(postgres_config) as engine:
            barrier.wait()
            befores.append(migrate.upgrade(engine))

    threads = [threading.Thread(target=upgrade) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(befores, key=str) == [migrate.HEAD] * 3 + [None]


def test_a_script_that_fails_leaves_the_database_as_it_was(
    postgres_config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_scripts = migrate._run_scripts

    def run_and_fail(connection: object) -> None:
        run_scripts(connection)  # type: ignore[arg-type]
        raise RuntimeError

    monkeypatch.setattr(migrate, "_run_scripts", run_and_fail)

    with migrate.opened(postgres_config) as engine:
        with pytest.raises(RuntimeError):
            migrate.upgrade(engine)
        assert inspect(engine).get_table_names() == []
