"""Repositories on a GitHub of our own, and instances that install from it."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tinybase import config
from tinybase.api.services import Services
from tinybase.app import create_app
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


def write(folder: Path, files: dict[str, str]) -> Path:
    """Write files into a folder and return it."""
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    return folder


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


@dataclass
class Hub:
    """The repositories of ``https://github.com/user``, which git finds in a folder."""

    folder: Path

    def repository(self, name: str, files: dict[str, str], *, tag: str | None = "v1.0.0") -> str:
        """Commit files to a repository, new or known, and return its address."""
        root = self.folder / "user" / name
        if not root.exists():
            root.mkdir(parents=True)
            self.git(name, "init", "--quiet", "--initial-branch=main")
        write(root, files)
        self.git(name, "add", "--all", "--force")
        self.git(name, "commit", "--quiet", "--message=x", "--allow-empty")
        if tag:
            self.git(name, "tag", tag)
        return f"https://github.com/user/{name}"

    def git(self, name: str, *arguments: str) -> str:
        """Run git in a repository and return what it printed."""
        identity = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")
        return subprocess.run(
            ["git", *identity, *arguments],
            cwd=self.folder / "user" / name,
            check=True,
            capture_output=True,
            text=True,
        ).stdout.strip()


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Hub:
    """Return a GitHub that git reaches under its real address; nothing leaves the machine."""
    folder = tmp_path / "github"
    folder.mkdir()
    settings = {
        "GIT_CONFIG_GLOBAL": "/dev/null",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": f"url.file://{folder}/.insteadOf",
        "GIT_CONFIG_VALUE_0": "https://github.com/",
        "TINYBASE_EXTENSIONS_GIT_PROTOCOLS": "https,ssh,file",
    }
    for key, value in settings.items():
        monkeypatch.setenv(key, value)
    monkeypatch.delenv("TINYBASE_GIT_TOKEN", raising=False)
    return Hub(folder)


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
    return lambda: [extension.name for extension in extensions.list()]
