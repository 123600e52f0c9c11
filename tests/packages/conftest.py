"""Repositories on a GitHub of our own, and instances that install from it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import pytest
from click.testing import CliRunner
from github import Hub

from tinybase import config
from tinybase.api.services import Services
from tinybase.app import create_app
from tinybase.cli import main
from tinybase.packages.extensions import Extensions
from tinybase.packages.wheels import write_wheel

WHEEL = b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
HELLO = """
from tinybase.extensions import on_startup

@on_startup
def say_hello():
    print("hello")
"""


def manifest(name: str, version: str = "1.0.0", more: str = "") -> str:
    """Return the text of a manifest."""
    return f'[extension]\nname = "{name}"\nversion = "{version}"\n{more}\n'


def flat(name: str, init: str = HELLO, *, version: str = "1.0.0", more: str = "") -> dict[str, str]:
    """Return the files of a flat repository."""
    return {"extension.toml": manifest(name, version, more), "__init__.py": init}


def make_wheel(
    folder: Path, name: str, version: str, *requires: str, package: str | None = None
) -> Path:
    """Write a wheel of a library that any extension may need."""
    module = package or name.replace("-", "_")
    stem = f"{name.replace('-', '_')}-{version}"
    headers = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    headers += [f"Requires-Dist: {line}" for line in requires]
    members = [
        (f"{module}/__init__.py", f"version = {version!r}\n".encode()),
        (f"{stem}.dist-info/METADATA", "\n".join([*headers, ""]).encode()),
        (
            f"{stem}.dist-info/WHEEL",
            b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        ),
    ]
    return write_wheel(folder, f"{stem}-py3-none-any", members)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Return a GitHub that git reaches under its real address; nothing leaves the machine."""
    folder = tmp_path / "github"
    folder.mkdir()
    hub = Hub(folder)
    for key, value in hub.environment.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("TINYBASE_GIT_TOKEN", raising=False)
    return hub


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a folder of wheels that is all that pip can get packages from."""
    folder = tmp_path / "index"
    folder.mkdir()
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def instance(tmp_path: Path, empty_database: Path) -> Path:
    """Return an instance with an empty database."""
    folder = tmp_path / "instance"
    folder.mkdir()
    (folder / "tinybase.toml").write_text("", "utf-8")
    shutil.copy(empty_database, folder / "tinybase.db")
    return folder


@contextmanager
def opened(instance: Path) -> Iterator[Services]:
    """Open an instance as a command does: nothing is loaded."""
    app = create_app(config.load(instance))
    services: Services = app.extensions["tinybase"]
    try:
        with app.app_context():
            yield services
    finally:
        services.host.stop()
        services.database.engine.dispose()


@pytest.fixture
def extensions(instance: Path, hub: Hub, index: Path) -> Iterator[Extensions]:
    """Return the service of the instance; neither it nor pip has a network."""
    with opened(instance) as services:
        yield services.extensions


@pytest.fixture
def names(extensions: Extensions) -> Callable[[], list[str]]:
    """Return a function that says what is installed."""
    return lambda: list(extensions.names())


@dataclass(frozen=True)
class Result:
    """What a command printed."""

    out: str
    err: str

    @property
    def json(self) -> Any:
        """Return the one document on stdout."""
        return json.loads(self.out)


class Run(Protocol):
    """Runs a command to its end."""

    def __call__(self, *arguments: str, stdin: str = "", code: int = 0) -> Result: ...


@pytest.fixture
def run(instance: Path, hub: Hub, index: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Return a runner of ``tinybase extensions`` that insists on the exit code."""
    monkeypatch.setattr("tinybase.logs.configure", lambda level: None)

    def run(*arguments: str, stdin: str = "", code: int = 0) -> Result:
        with CliRunner().isolation(stdin) as (out, err, _):
            with pytest.raises(SystemExit) as ended:
                main(["-C", str(instance), "extensions", *arguments])
            result = Result(out.getvalue().decode(), err.getvalue().decode())
        assert (ended.value.code or 0) == code, result
        assert "Traceback" not in result.out + result.err
        return result

    return run
