"""An instance made with the real commands, and what the guides say installed into it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from github import Hub
from serving import Answer, Server, tinybase

from .guide import Guide, our_guide, users_guide

ADMIN = "admin@example.com"
PASSWORD = "correct horse battery staple"
USER = {"email": "ann@example.com", "password": PASSWORD}


@dataclass
class Site:
    """A folder with an instance and a GitHub, and the commands of an operator in it."""

    instance: Path
    hub: Hub

    def run(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002
        """Run one command, which must succeed, and return what it printed."""
        done = tinybase(*arguments, instance=self.instance, input=input, env=self.hub.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done.stdout + done.stderr

    def say(self, line: str, input: str | None = None) -> str:  # noqa: A002
        """Run a line of a guide as it stands there."""
        command, *arguments = line.split()
        assert command == "tinybase"
        return self.run(*arguments, input=input)

    def serve(self, **environment: str) -> Server:
        """Return a server with two workers; a ``with`` block starts and stops it."""
        return Server(self.instance, "--workers", "2", env={**self.hub.environment, **environment})


@dataclass
class People:
    """Who asks a server: the tokens of an admin and of a user."""

    server: Server
    admin: str
    user: str

    def call(self, function: str, payload: object, token: str | None) -> Answer:
        """Call a function."""
        return self.server.request("POST", f"/api/functions/{function}", payload, token=token)

    def create(self, collection: str, data: object) -> Answer:
        """Create a record as the user."""
        path = f"/api/collections/{collection}/records"
        return self.server.request("POST", path, data, token=self.user)

    def extension(self, name: str) -> Any:
        """Return what the API shows of an extension, or ``None`` if there is none."""
        answer = self.server.request("GET", f"/api/admin/extensions/{name}", token=self.admin)
        return answer.json if answer.status == 200 else None


def make_site(folder: Path) -> Site:
    """Make an instance with an admin and an empty GitHub in a folder."""
    hub = Hub(folder / "github")
    hub.folder.mkdir()
    site = Site(folder / "instance", hub)
    made = tinybase(
        "init", site.instance, "--admin-email", ADMIN, "--admin-password", PASSWORD, cwd=folder
    )
    assert made.returncode == 0, made.stderr
    return site


def people(server: Server) -> People:
    """Sign in the admin, and a user who registers if they are new."""
    server.request("POST", "/api/auth/register", USER)
    return People(
        server, server.login(ADMIN, PASSWORD), server.login(USER["email"], USER["password"])
    )


def make_collection(everybody: People, name: str, *fields: str) -> None:
    """Make a collection of records with texts in these fields."""
    schema = {"fields": [{"name": field, "type": "string"} for field in fields]}
    answer = everybody.server.request(
        "POST", "/api/collections", {"name": name, "schema": schema}, token=everybody.admin
    )
    assert answer.status == 201, answer.json


@pytest.fixture(scope="package")
def users() -> Guide:
    """The user's guide; tests that need it are skipped where it is not."""
    guide = users_guide()
    if guide is None:
        pytest.skip("the user's guide is not beside the repository")
    return guide


@pytest.fixture(scope="package")
def ours() -> Guide:
    """Our own guide."""
    return our_guide()
