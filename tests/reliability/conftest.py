"""Instances that are served for real, with extensions written on the spot."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from serving import Server, tinybase

from .ledger import SETUP
from .nursery import Asked, Nest, Nursery, ask, opened_nursery

ADMIN = "admin@example.com"
PASSWORD = "correct horse battery staple"


class Site:
    """A served instance, and a folder in which extensions are installed as pip would."""

    def __init__(self, folder: Path) -> None:
        self.instance = folder / "instance"
        self.packages = folder / "site"
        self.packages.mkdir()

    def add(self, name: str, source: str, *, version: str = "1.0") -> None:
        """Install an extension; ``source`` is the code of its package."""
        package = name.replace("-", "_")
        target = self.packages / package / "__init__.py"
        target.parent.mkdir(exist_ok=True)
        target.write_text(textwrap.dedent(source))
        info = self.packages / f"{package}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[tinybase.extensions]\nmain = {package}\n")
        (info / "RECORD").write_text(f"{package}/__init__.py,,\n")

    @property
    def environment(self) -> dict[str, str]:
        """Return what commands on this instance need."""
        return {
            "PYTHONPATH": str(self.packages),
            "PYTHONDONTWRITEBYTECODE": "1",
            "TINYBASE_RATE_LIMIT_ENABLED": "false",
        }

    def serve(self, workers: int = 2, **environment: str) -> Server:
        """Return a server; a ``with`` block starts and stops it."""
        return Server(
            self.instance,
            "--workers",
            str(workers),
            env={**self.environment, **environment},
        )


@pytest.fixture(scope="package")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an instance with an admin that is only ever copied."""
    folder = tmp_path_factory.mktemp("prepared") / "instance"
    made = tinybase(
        *("init", folder, "--admin-email", ADMIN, "--admin-password", PASSWORD), cwd=folder.parent
    )
    assert made.returncode == 0, made.stderr
    return folder


@pytest.fixture(scope="package")
def nursery() -> Iterator[Nursery]:
    """Return what forks servers."""
    with opened_nursery() as opened:
        yield opened


@pytest.fixture(scope="package")
def grown(
    prepared: Path, nursery: Nursery, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """Return a token of the admin, and an instance with a collection to write to.

    It is only ever copied.
    """
    folder = tmp_path_factory.mktemp("grown") / "instance"
    shutil.copytree(prepared, folder)
    login = Asked("POST", "/api/auth/login", {"email": ADMIN, "password": PASSWORD})
    (answer,) = nursery.do(ask, Nest(folder), login)
    token: str = answer.body["access_token"]
    (made,) = nursery.do(ask, Nest(folder), Asked("POST", "/api/collections", SETUP, token))
    assert made.status == 201, made.body
    return token, folder


@pytest.fixture
def site(prepared: Path, tmp_path: Path) -> Site:
    """Return an instance with an admin and no extension."""
    shutil.copytree(prepared, tmp_path / "instance")
    return Site(tmp_path)


def make_collection(server: Server, token: str, name: str) -> None:
    """Make a collection of records with one text."""
    schema = {"fields": [{"name": "title", "type": "string"}]}
    answer = server.request(
        "POST", "/api/collections", {"name": name, "schema": schema}, token=token
    )
    assert answer.status == 201, answer.json
