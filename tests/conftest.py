"""A whole application on an empty instance, and the people who use it.

Tests that use a database run on SQLite. Those in the folders that ``ON_BOTH`` names, which
are the contract of what is stored, run on PostgreSQL as well; with
``TINYBASE_TEST_DATABASE=postgresql`` all of them run there, and there only.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unittest.mock import patch
from uuid import UUID

import pytest
from databases import (
    Databases,
    Postgres,
    PostgresqlDatabases,
    SqliteDatabases,
    running_postgres,
)
from flask import Flask
from flask.testing import FlaskClient

from tinybase import config
from tinybase.api.services import Services
from tinybase.app import create_app
from tinybase.auth.passwords import Passwords
from tinybase.db import migrate

PASSWORD = "correct horse battery staple"

ON_BOTH = ("auth", "collections", "functions")

FIRST = ("reliability", "docs", "proof", "packages", "cli", "host")
"""Folders whose files take longest; begun last, one would keep a single process busy at the end."""


@dataclass(frozen=True)
class Person:
    """Somebody with an account, signed in."""

    id: UUID
    email: str
    password: str
    token: str

    @property
    def headers(self) -> dict[str, str]:
        """Return what signs a request of theirs."""
        return {"Authorization": f"Bearer {self.token}"}


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes longest."""
    rank = {name: place for place, name in enumerate(FIRST)}
    items.sort(key=lambda item: rank.get(item.path.parent.name, len(rank)))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the databases that a test runs on."""
    marks = metafunc.definition.iter_markers("parametrize")
    if "databases" not in metafunc.fixturenames or any(m.args[0] == "databases" for m in marks):
        return
    chosen = os.environ.get("TINYBASE_TEST_DATABASE")
    folder = metafunc.definition.path.relative_to(Path(__file__).parent).parts[0]
    if chosen:
        metafunc.parametrize("databases", [chosen], indirect=True, scope="session")
    elif folder in ON_BOTH:
        metafunc.parametrize("databases", ["sqlite", "postgresql"], indirect=True, scope="session")


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """Run a PostgreSQL."""
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Databases:
    """Return what makes databases of the kind that the test runs on."""
    if getattr(request, "param", "sqlite") == "sqlite":
        return SqliteDatabases(request.getfixturevalue("empty_database"))
    made: Databases = request.getfixturevalue("postgresql_databases")
    return made


@pytest.fixture(scope="session")
def postgresql_databases(
    postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> PostgresqlDatabases:
    """Return what makes databases on PostgreSQL."""
    return PostgresqlDatabases(postgres, tmp_path_factory.mktemp("empty"))


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the tables once; every test copies the file."""
    folder = tmp_path_factory.mktemp("empty")
    with migrate.opened(config.load(folder, {})) as engine:
        migrate.upgrade(engine)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "tinybase.db"


StartApp = Callable[..., AbstractContextManager[Flask]]


@pytest.fixture(scope="session")
def start_app(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> StartApp:
    """Return a context manager that starts an application; it takes a folder and variables.

    Rate limits are off and commits need not survive a power loss, unless a test says so.
    """

    @contextmanager
    def start(folder: Path | None = None, **environ: str) -> Iterator[Flask]:
        folder = folder or tmp_path_factory.mktemp("instance")
        database = databases.new(folder)
        defaults = {
            "TINYBASE_RATE_LIMIT_ENABLED": "false",
            "TINYBASE_DATABASE_DURABILITY": "normal",
            **database,
        }
        app = create_app(config.load(folder, {**defaults, **environ}))
        services: Services = app.extensions["tinybase"]
        try:
            services.host.start()
            yield app
        finally:
            services.close()
            databases.drop(database)

    return start


@pytest.fixture
def make_app(start_app: StartApp) -> Iterator[Callable[..., Flask]]:
    """Return a function that starts an application, which stops after the test."""
    with ExitStack() as stack:
        yield lambda folder=None, **environ: stack.enter_context(start_app(folder, **environ))


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    """Return an application with the default configuration, started."""
    return make_app()


@pytest.fixture
def services(app: Flask) -> Services:
    """Return the rooms of the application."""
    found: Services = app.extensions["tinybase"]
    return found


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    """Return a client that sends nothing of its own."""
    return app.test_client()


@cache
def _hash_of_password() -> str:
    """Hash the password of everybody once; it is meant to take long, and it works as ever."""
    return Passwords(config.AuthConfig()).hash(PASSWORD)


def sign_up(app: Flask, email: str, *, is_admin: bool = False) -> Person:
    """Make an account and sign it in."""
    services: Services = app.extensions["tinybase"]
    passwords, known = services.users.passwords, _hash_of_password()
    with (
        app.app_context(),
        patch.object(passwords, "hash", return_value=known),
        patch.object(passwords, "verify", return_value=True),
    ):
        account = services.users.create(email, PASSWORD, is_admin=is_admin)
        login = services.tokens.login(email, PASSWORD, address="127.0.0.1")
    return Person(account.id, account.email, PASSWORD, login.access_token)


@pytest.fixture
def make_user(app: Flask) -> Callable[..., Person]:
    """Return a function that makes an account and signs it in."""
    numbers = itertools.count(1)

    def make(*, email: str | None = None, is_admin: bool = False) -> Person:
        return sign_up(app, email or f"person{next(numbers)}@example.com", is_admin=is_admin)

    return make


@pytest.fixture
def user(make_user: Callable[..., Person]) -> Person:
    """Return a user who is no admin."""
    return make_user()


@pytest.fixture
def admin(make_user: Callable[..., Person]) -> Person:
    """Return an admin."""
    return make_user(email="admin@example.com", is_admin=True)
