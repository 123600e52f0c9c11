"""A database in a temporary folder, and the two services on it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pluggy
import pytest
from databases import Databases
from sqlalchemy import Engine, create_engine, event
from uuid_utils.compat import uuid7

import tinybase_hookspecs
from tinybase import config
from tinybase.actors import SYSTEM, Actor, ActorKind
from tinybase.collections.collections import Collections
from tinybase.collections.records import Records
from tinybase.db import Database, tables
from tinybase.db.engine import engine_settings, prepare
from tinybase.db.reading import Statement


@dataclass
class Room:
    """The services, and everything that the hooks were told."""

    database: Database
    collections: Collections
    records: Records
    events: list[Any] = field(default_factory=list)

    def user(self) -> Actor:
        """Make somebody who is signed in."""
        return Actor(ActorKind.USER, user_id=self._insert_user())

    def admin(self) -> Actor:
        """Make an admin."""
        return Actor(ActorKind.ADMIN, user_id=self._insert_user())

    def fill(self, name: str, *documents: dict[str, Any]) -> list[UUID]:
        """Store records as the system."""
        return [self.records.create(SYSTEM, name, document).id for document in documents]

    def make(self, name: str, *fields: dict[str, Any], **options: Any) -> None:
        """Make a collection."""
        self.collections.create(name, schema={"fields": list(fields)}, options=options)

    @contextmanager
    def watched(self) -> Iterator[list[tuple[str, Any]]]:
        """Note every statement of the block, with its parameters."""
        statements: list[tuple[str, Any]] = []

        def note(*arguments: Any) -> None:
            statements.append((arguments[2], arguments[3]))

        reader = self.database.reader
        read = reader.rows

        def rows(statement: Statement, values: Mapping[str, Any]) -> Any:
            statements.append((statement.text, statement.bound(values)))
            return read(statement, values)

        event.listen(self.database.engine, "before_cursor_execute", note)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(reader, "rows", rows)
            yield statements
        event.remove(self.database.engine, "before_cursor_execute", note)

    def _insert_user(self) -> UUID:
        user_id = uuid7()
        with self.database.write() as work:
            work.connection.execute(
                tables.users.insert().values(
                    id=user_id,
                    email=f"{user_id}@test.com",
                    email_key=str(user_id),
                    password_hash="",
                )
            )
        return user_id


class Listener:
    """Implements the record hooks by remembering the events."""

    def __init__(self, events: list[Any]) -> None:
        self._events = events

    @tinybase_hookspecs.hookimpl
    def tinybase_on_record_create(self, event: Any) -> None:
        self._events.append(event)

    @tinybase_hookspecs.hookimpl
    def tinybase_on_record_update(self, event: Any) -> None:
        self._events.append(event)

    @tinybase_hookspecs.hookimpl
    def tinybase_on_record_delete(self, event: Any) -> None:
        self._events.append(event)


class Rooms:
    """Opens the services on the database in a folder; each time like another process."""

    def __init__(self, folder: Path, databases: Databases) -> None:
        self._folder = folder
        self._databases = databases
        self._database = databases.new(folder)
        self._engines: list[Engine] = []

    def __call__(self, **environ: str) -> Room:
        settings = config.load(
            self._folder,
            {"TINYBASE_DATABASE_DURABILITY": "normal", **self._database, **environ},
        )
        options = engine_settings(settings)
        engine = create_engine(
            options["SQLALCHEMY_DATABASE_URI"], **options["SQLALCHEMY_ENGINE_OPTIONS"]
        )
        prepare(engine, settings)
        self._engines.append(engine)
        manager = pluggy.PluginManager("tinybase")
        manager.add_hookspecs(tinybase_hookspecs)
        host = SimpleNamespace(pm=manager)
        database = Database(engine)
        collections = Collections(database, settings, host)
        room = Room(database, collections, Records(database, settings, host, collections))
        manager.register(Listener(room.events))
        return room

    def close(self) -> None:
        for engine in self._engines:
            engine.dispose()
        self._databases.drop(self._database)


@pytest.fixture
def make_room(tmp_path: Path, databases: Databases) -> Iterator[Rooms]:
    """Open the services on one database, as often as a test wants."""
    rooms = Rooms(tmp_path, databases)
    yield rooms
    rooms.close()


@pytest.fixture
def room(make_room: Rooms) -> Room:
    """Return the services on an empty database."""
    return make_room()


@pytest.fixture(scope="module")
def shared_room(tmp_path_factory: pytest.TempPathFactory, databases: Databases) -> Iterator[Room]:
    """Return the services on a database that the tests of a module share."""
    rooms = Rooms(tmp_path_factory.mktemp("shared"), databases)
    yield rooms()
    rooms.close()
