"""What authors do to a connection does not reach who has it next."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from databases import Databases
from flask import Flask
from sqlalchemy import text

from tinybase.app import create_app
from tinybase.config import load
from tinybase.db import db
from tinybase.errors import Conflict

Do = Callable[[Any], object]

pytestmark = pytest.mark.parametrize("databases", ["sqlite", "postgresql"], indirect=True)


@pytest.fixture
def app(databases: Databases, tmp_path: Path) -> Iterator[Flask]:
    """Return an application over a database of either kind."""
    environ = databases.new(tmp_path)
    made = create_app(load(tmp_path, environ))
    yield made
    made.extensions["tinybase"].database.engine.dispose()
    databases.drop(environ)


def borrowed(app: Flask, do: Do) -> object:
    """Do something with a session; return the connection of the driver that it had."""
    with app.app_context():
        do(db.session)
        driver = db.session.connection().connection.driver_connection
        db.session.rollback()
    return driver


def driver_of_the_host(app: Flask) -> object:
    with app.extensions["tinybase"].database.connect() as connection:
        return connection.connection.driver_connection


def has_begun(driver: Any) -> bool:
    """Say whether a connection of a driver is in a transaction."""
    is_sqlite = isinstance(driver, sqlite3.Connection)
    return bool(driver.in_transaction if is_sqlite else driver.info.transaction_status)


def run(statement: str) -> Do:
    return lambda session: session.execute(text(statement))


def raw(statement: str) -> Do:
    return lambda session: session.connection().connection.cursor().execute(statement)


def set_attribute(name: str, value: object) -> Do:
    return lambda session: setattr(session.connection().connection.driver_connection, name, value)


ON_SQLITE: dict[str, Do] = {
    "PRAGMA": run("PRAGMA query_only = 1"),
    "pragma in a comment": run("/* it */ PRAGMA foreign_keys = OFF"),
    "raw": raw("PRAGMA foreign_keys = OFF"),
    "ATTACH": run("ATTACH ':memory:' AS other"),
    "temporary trigger": run(
        "CREATE TEMP TRIGGER t AFTER INSERT ON main.users BEGIN DELETE FROM users; END"
    ),
    "without a cursor": lambda session: session.connection().connection.driver_connection.execute(
        "PRAGMA query_only = 1"
    ),
    "script": lambda session: session.connection().connection.executescript("PRAGMA x"),
    "function": lambda session: session.connection().connection.create_function(
        "lower", 1, lambda _: "x"
    ),
    "isolation level": set_attribute("isolation_level", None),
    "row factory": set_attribute("row_factory", lambda *_: ()),
}
ON_POSTGRESQL: dict[str, Do] = {
    "SET": run("SET SESSION lock_timeout = '1ms'"),
    "set_config": run("SELECT set_config('lock_timeout', '1ms', false)"),
    "lock": run("SELECT pg_advisory_lock(7)"),
    "temporary table": run("CREATE TEMP TABLE users (a int) ON COMMIT PRESERVE ROWS"),
    "raw": raw("SET SESSION lock_timeout = '1ms'"),
    "isolation level": set_attribute("prepare_threshold", None),
}
HARMLESS = ["SELECT 1", " with x as (select 1) select * from x", "UPDATE users SET email = ''"]


def test_a_connection_whose_settings_an_author_has_changed_is_used_by_nobody_else(
    app: Flask, databases: Databases
) -> None:
    for name, do in (ON_SQLITE if databases.name == "sqlite" else ON_POSTGRESQL).items():
        spoilt = borrowed(app, do)
        assert driver_of_the_host(app) is not spoilt, name
        assert borrowed(app, run("SELECT 1")) is not spoilt, name


@pytest.mark.parametrize("statement", HARMLESS)
def test_a_connection_that_was_only_read_and_written_with_is_used_again(
    statement: str, app: Flask
) -> None:
    driver = borrowed(app, run(statement))
    assert driver_of_the_host(app) is driver
    assert borrowed(app, run(statement)) is driver


def test_a_pragma_of_a_session_that_takes_part_in_a_write_ends_with_the_write(app: Flask) -> None:
    database = app.extensions["tinybase"].database
    if database.engine.dialect.name != "sqlite":
        pytest.skip("PostgreSQL has none")
    with app.app_context(), database.write() as work:
        with work.shared():
            db.session.execute(text("PRAGMA query_only = 1"))
            db.session.close()
        driver = work.connection.connection.driver_connection
    assert driver_of_the_host(app) is not driver
    with database.write() as work:
        work.connection.execute(text("UPDATE users SET email = ''"))


def test_what_was_given_up_is_rolled_back_and_refused_whatever_it_does(app: Flask) -> None:
    database = app.extensions["tinybase"].database
    with app.app_context():
        session = db.session()
        session.execute(text("UPDATE users SET email = ''"))
        connection = session.connection()
        kept = connection.connection.driver_connection
        session.borrower.give_up("it is late")
        database.loans.sweep()
        with database.write() as work:  # waits until it is rolled back
            work.connection.execute(text("UPDATE users SET email = email"))
        for use in (session.commit, lambda: session.execute(text("SELECT 1"))):
            with pytest.raises(Conflict, match="because it is late"):
                use()
    assert driver_of_the_host(app) is not kept


def test_what_is_about_to_be_committed_is_not_taken_back(app: Flask) -> None:
    database = app.extensions["tinybase"].database
    with app.app_context():
        session = db.session()
        session.execute(text("SELECT 1"))
        session.loan.settle()
        session.execute(text("UPDATE users SET email = email"))
        kept = session.connection().connection.driver_connection
        session.borrower.give_up("it is late")
        database.loans.sweep()
        assert has_begun(kept)
