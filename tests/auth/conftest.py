"""One room of services on an empty database, and a clock that stands still."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pluggy
import pytest
from databases import Databases

import tinybase_hookspecs
from tinybase.auth.limits import RateLimits
from tinybase.auth.tokens import Tokens
from tinybase.auth.users import Users
from tinybase.config import load
from tinybase.db import Database, migrate
from tinybase.settings import Settings


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 31, 12, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, **units: float) -> None:
        self.now += timedelta(**units)


class Hooks:
    """The part of the host that the services see."""

    def __init__(self) -> None:
        self.pm = pluggy.PluginManager("tinybase")
        self.pm.add_hookspecs(tinybase_hookspecs)
        self.events: list[object] = []

    def listen(self) -> list[object]:
        """Note every event of users from now on."""
        self.pm.register(_Listener(self.events))
        return self.events


class _Listener:
    def __init__(self, events: list[object]) -> None:
        self._events = events

    @tinybase_hookspecs.hookimpl
    def tinybase_on_user_login(self, event: object) -> None:
        self._events.append(event)

    @tinybase_hookspecs.hookimpl
    def tinybase_on_user_register(self, event: object) -> None:
        self._events.append(event)


@dataclass
class Room:
    """The services of one application, as another worker would have them too."""

    folder: Path
    database: Database
    environ: dict[str, str]
    clock: Clock = field(default_factory=Clock)
    hooks: Hooks = field(default_factory=Hooks)

    def __post_init__(self) -> None:
        self.config = load(self.folder, self.environ)
        self.settings = Settings(self.database, clock=self.clock)
        self.users = Users(self.database, self.config, self.hooks, self.settings, clock=self.clock)
        self.tokens = Tokens(self.database, self.config, self.hooks, self.users, clock=self.clock)
        self.limits = RateLimits(self.database, self.config, clock=self.clock)
        self.outbox = self.folder / "outbox"

    def mails(self) -> list[str]:
        """Return every mail that was sent, the oldest first, once all are out."""
        self.tokens.resets._mailer._worker.submit(lambda: None).result()
        return [path.read_text("utf-8") for path in sorted(self.outbox.glob("*.eml"))]


MakeRoom = Callable[..., Room]


@pytest.fixture
def make_room(tmp_path: Path, databases: Databases) -> Iterator[MakeRoom]:
    """Return a maker of rooms on one database; keyword arguments are the environment."""
    rooms: list[Room] = []
    database = databases.new(tmp_path)
    with migrate.opened(load(tmp_path, database)) as engine:

        def make(**environ: object) -> Room:
            variables = {
                "TINYBASE_MAIL_URL": "file:outbox",
                **database,
                **{f"TINYBASE_{name.upper()}": str(value) for name, value in environ.items()},
            }
            rooms.append(Room(tmp_path, Database(engine), variables))
            return rooms[-1]

        yield make
        for room in rooms:
            room.tokens.close()
    databases.drop(database)


@pytest.fixture
def room(make_room: MakeRoom) -> Room:
    return make_room()
