"""A host over a temporary instance, and extensions written on the spot.

The extensions are real installed packages as far as Python can tell: a package folder and
a ``dist-info`` folder with an entry point, in a folder on ``sys.path``.
"""

from __future__ import annotations

import contextvars
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy

from tinybase import config
from tinybase.checks import CHECKS
from tinybase.db import Database, db
from tinybase.db.engine import prepare
from tinybase.errors import Conflict
from tinybase.host import Dispatcher, Host
from tinybase.host.loading import unload
from tinybase.host.recorder import FlightRecorder, Suspect, encode


class PlainFunctions:
    """The least table of functions that a host can work with."""

    def __init__(self) -> None:
        self.owners: dict[str, str] = {}

    def add(self, owner, declaration):
        if declaration.name in self.owners:
            raise Conflict(f"{declaration.name} belongs to {self.owners[declaration.name]}")
        self.owners[declaration.name] = owner

    def discard(self, owner):
        self.owners = {name: who for name, who in self.owners.items() if who != owner}

    def names(self, owner):
        return sorted(name for name, who in self.owners.items() if who == owner)


@pytest.fixture
def instance(tmp_path: Path) -> Path:
    folder = tmp_path / "instance"
    folder.mkdir()
    return folder


@pytest.fixture
def database(instance: Path) -> Iterator[Database]:
    settings = config.load(instance, {})
    engine = sqlalchemy.create_engine(
        f"sqlite:///{instance / 'tinybase.db'}", connect_args={"isolation_level": "IMMEDIATE"}
    )
    prepare(engine, settings)
    db.metadata.create_all(engine)
    yield Database(engine)
    engine.dispose()


@pytest.fixture
def make_host(instance: Path, database: Database) -> Iterator[Callable[..., Host]]:
    hosts = []

    def make(**environ: str) -> Host:
        settings = config.load(instance, environ)
        dispatcher = Dispatcher(settings.hooks.wait_ms)
        host = Host(settings, database, dispatcher, PlainFunctions, CHECKS)
        hosts.append(host)
        return host

    yield make
    for host in hosts:
        host.stop()


@pytest.fixture
def host(make_host: Callable[..., Host]) -> Host:
    return make_host()


@pytest.fixture
def leave_behind(instance: Path) -> Callable[..., None]:
    """Return a function that leaves what a process does that dies while running something."""

    def leave(*suspects: Suspect) -> None:
        recorder = FlightRecorder.of(instance)
        for suspect in suspects:
            # From a context of its own: none of them is running because of another one.
            contextvars.Context().run(recorder.enter, encode(suspect))
        os.close(recorder._file._descriptor)

    return leave


class Site:
    """A folder of installed packages."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.packages: set[str] = set()

    def add(self, name: str, source: str = "", *, files: dict[str, str] | None = None, **meta: Any):
        """Install an extension; ``source`` is the code of its package."""
        package = meta.pop("package", name.replace("-", "_"))
        version = meta.pop("version", "1.0")
        entry = meta.pop("entry", package)
        self.packages.add(package)
        for path, text in {"__init__.py": source, **(files or {})}.items():
            target = self.folder / package / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(text))
        info = self.folder / f"{name.replace('-', '_')}-{version}.dist-info"
        info.mkdir(exist_ok=True)
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
        lines += [f"{key.replace('_', '-')}: {value}" for key, value in meta.items()]
        (info / "METADATA").write_text("\n".join(lines) + "\n")
        entries = entry if isinstance(entry, list) else [entry]
        (info / "entry_points.txt").write_text(
            "[tinybase.extensions]\n"
            + "".join(f"e{number} = {value}\n" for number, value in enumerate(entries))
        )
        (info / "RECORD").write_text(f"{package}/__init__.py,{hash(source)},\n")

    def remove(self, name: str) -> None:
        """Uninstall an extension."""
        for info in self.folder.glob(f"{name.replace('-', '_')}-*.dist-info"):
            for path in info.iterdir():
                path.unlink()
            info.rmdir()


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    site = Site(folder)
    yield site
    for package in site.packages:
        unload(package)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A list that extensions append to, imported as ``from seen import seen``."""
    module = type(sys)("seen")
    module.seen = []
    monkeypatch.setitem(sys.modules, "seen", module)
    return module.seen
