"""The service for functions over a temporary database, with a host that loads nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pluggy
import pytest
from databases import Databases
from sqlalchemy import insert

import tinybase_hookspecs
from tinybase import config as configuration
from tinybase.actors import Actor, ActorKind
from tinybase.db import Database, Session, db, migrate, tables
from tinybase.functions.calls import Functions
from tinybase.functions.contexts import Contexts
from tinybase.functions.table import FunctionTable
from tinybase.host.guard import Surroundings
from tinybase_hookspecs import FunctionDeclaration, hookimpl

OWNER = "project:functions.example"


class PlainHost:
    """What the service needs of a host."""

    def __init__(self) -> None:
        self.pm = pluggy.PluginManager("tinybase")
        self.pm.add_hookspecs(tinybase_hookspecs)
        self.functions = FunctionTable()
        self.around = Surroundings()


class FakeRecords:
    """Remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Callable[..., Any]:
        def ask(*arguments: Any, **options: Any) -> Any:
            self.asked.append((name, *arguments, options))
            return SimpleNamespace(id=uuid4())

        return ask


@dataclass
class Told:
    """What the hooks were told."""

    calls: list[Any] = field(default_factory=list)
    completions: list[Any] = field(default_factory=list)
    veto: BaseException | None = None

    @hookimpl
    def tinybase_on_function_call(self, event: Any) -> None:
        self.calls.append(event)
        if self.veto is not None:
            raise self.veto

    @hookimpl
    def tinybase_on_function_complete(self, event: Any) -> None:
        self.completions.append(event)


@pytest.fixture
def database(tmp_path: Path, databases: Databases) -> Iterator[Database]:
    environ = databases.new(tmp_path)
    with migrate.opened(configuration.load(tmp_path, environ)) as engine:
        yield Database(engine)
    databases.drop(environ)


@pytest.fixture
def new_session(database: Database) -> Callable[[], Session]:
    class TestSession(Session):
        def get_bind(self, *_: Any, **__: Any) -> Any:
            return database.engine

    return lambda: TestSession(db)


@pytest.fixture
def host() -> Iterator[PlainHost]:
    host = PlainHost()
    yield host
    host.around.stop_loops()


@pytest.fixture
def told(host: PlainHost) -> Told:
    told = Told()
    host.pm.register(told)
    return told


@pytest.fixture
def records() -> FakeRecords:
    return FakeRecords()


@pytest.fixture
def settings() -> dict[str, Any]:
    """The instance settings; change them in place."""
    return {"max_concurrent_functions_per_user": None}


@pytest.fixture
def make_functions(
    database: Database,
    host: PlainHost,
    records: FakeRecords,
    new_session: Callable[[], Session],
    settings: dict[str, Any],
    tmp_path: Path,
) -> Callable[..., Functions]:
    def make(**changes: Any) -> Functions:
        config = configuration.load(tmp_path, {})
        config = replace(config, functions=replace(config.functions, **changes))
        contexts = Contexts(new_session, records, collections=None)
        values = SimpleNamespace(value=settings.__getitem__)
        return Functions(database, config, host, values, contexts)

    return make


@pytest.fixture
def functions(make_functions: Callable[..., Functions]) -> Functions:
    return make_functions()


@pytest.fixture
def offer(host: PlainHost) -> Callable[..., Any]:
    """Offer a function under its own name: ``@offer``, or ``@offer(auth="admin")``."""

    def offer(handler: Any = None, *, owner: str = OWNER, **options: Any) -> Any:
        def decorate(handler: Any) -> Any:
            options.setdefault("name", getattr(handler, "__name__", None))
            options.setdefault("auth", "public")
            host.functions.add(owner, FunctionDeclaration(handler=handler, **options))
            return handler

        return decorate if handler is None else decorate(handler)

    return offer


@pytest.fixture
def make_caller(database: Database) -> Callable[..., Actor]:
    def make(*, is_admin: bool = False) -> Actor:
        user_id: UUID = uuid4()
        with database.write() as work:
            work.connection.execute(
                insert(tables.users).values(
                    id=user_id,
                    email=f"{user_id}@test.com",
                    email_key=f"{user_id}@test.com",
                    password_hash="",
                    is_admin=is_admin,
                    is_active=True,
                )
            )
        return Actor(ActorKind.ADMIN if is_admin else ActorKind.USER, user_id)

    return make


@pytest.fixture
def caller(make_caller: Callable[..., Actor]) -> Actor:
    return make_caller()


@pytest.fixture
def admin_caller(make_caller: Callable[..., Actor]) -> Actor:
    return make_caller(is_admin=True)
