"""A whole application on an empty instance, and the people who use it."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tinybase import config
from tinybase.api.services import Services
from tinybase.app import create_app
from tinybase.db import migrate

PASSWORD = "correct horse battery staple"


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


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make the tables once; every test copies the file."""
    folder = tmp_path_factory.mktemp("empty")
    with migrate.opened(config.load(folder, {})) as engine:
        migrate.upgrade(engine)
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    return folder / "tinybase.db"


@pytest.fixture
def make_app(tmp_path: Path, empty_database: Path) -> Iterator[Callable[..., Flask]]:
    """Return a function that starts an application; it takes environment variables.

    Rate limits are off and commits need not survive a power loss, unless a test says so.
    """
    running: list[Services] = []
    numbers = itertools.count()

    def make(**environ: str) -> Flask:
        folder = tmp_path / f"instance{next(numbers)}"
        folder.mkdir()
        shutil.copy(empty_database, folder / "tinybase.db")
        defaults = {
            "TINYBASE_RATE_LIMIT_ENABLED": "false",
            "TINYBASE_DATABASE_DURABILITY": "normal",
        }
        app = create_app(config.load(folder, {**defaults, **environ}))
        services: Services = app.extensions["tinybase"]
        running.append(services)
        services.host.start()
        return app

    yield make
    for services in running:
        services.host.stop()
        services.database.engine.dispose()


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


@pytest.fixture
def make_user(app: Flask, services: Services) -> Callable[..., Person]:
    """Return a function that makes an account and signs it in."""
    numbers = itertools.count(1)

    def make(*, email: str | None = None, is_admin: bool = False) -> Person:
        address = email or f"person{next(numbers)}@example.com"
        with app.app_context():
            account = services.users.create(address, PASSWORD, is_admin=is_admin)
            login = services.tokens.login(address, PASSWORD, address="127.0.0.1")
        return Person(account.id, account.email, PASSWORD, login.access_token)

    return make


@pytest.fixture
def user(make_user: Callable[..., Person]) -> Person:
    """Return a user who is no admin."""
    return make_user()


@pytest.fixture
def admin(make_user: Callable[..., Person]) -> Person:
    """Return an admin."""
    return make_user(email="admin@example.com", is_admin=True)
