"""A first-party extension, installed from its repository as anybody would install it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from databases import Postgres
from github import Hub
from serving import Answer, Server, clean_environment, tinybase

PLUGINS = Path(__file__).resolve().parents[2] / "plugins"
NAMES = (
    "tinybase-audit-trail",
    "tinybase-dashboard",
    "tinybase-hello",
    "tinybase-tenancy",
    "tinybase-webhooks",
)

ADMIN = "admin@example.com"
PASSWORD = "correct horse battery staple"

left_by_tools = shutil.ignore_patterns("__pycache__", ".*", "*.egg-info", "build")


@dataclass
class Site:
    """An instance, and the GitHub from which its extension came."""

    instance: Path
    hub: Hub
    plugin: str
    database: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Return what commands and servers need."""
        return {**self.hub.environment, **self.database}

    def run(self, *arguments: str) -> str:
        """Run one command, which must succeed, and return what it printed."""
        done = tinybase(*arguments, instance=self.instance, env=self.environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def site(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return an instance with the extension that the module of tests names."""
    name: str = request.module.PLUGIN
    folder = tmp_path_factory.mktemp(name)
    site = Site(folder / "instance", Hub(folder / "github"), name)
    if os.environ.get("TINYBASE_TEST_DATABASE") == "postgresql":
        postgres: Postgres = request.getfixturevalue("postgres")
        site.database = postgres.new_database(name.replace("-", "_"))
    admin = ("--admin-email", ADMIN, "--admin-password", PASSWORD)
    made = tinybase("init", site.instance, *admin, env=site.environment)
    assert made.returncode == 0, made.stderr
    shutil.copytree(PLUGINS / name, site.hub.folder / "user" / name, ignore=left_by_tools)
    site.hub.git(name, "init", "--quiet", "--initial-branch=main")
    site.run("extensions", "install", site.hub.repository(name, {}), "--yes")
    return site


@dataclass
class Client:
    """An admin who asks a server."""

    server: Server
    token: str

    def ask(self, method: str, path: str, body: object = None, *, token: str = "") -> Answer:
        """Ask something as the admin, or as somebody else."""
        return self.server.request(method, path, body, token=token or self.token)

    def call(self, function: str, payload: object) -> Any:
        """Call a function, which must succeed, and return its result."""
        answer = self.ask("POST", f"/api/functions/{function}", payload).json
        assert answer["status"] == "succeeded", answer
        return answer["result"]


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[Client]:
    """Return an admin at a server with two workers."""
    with Server(site.instance, "--workers", "2", env=site.environment) as server:
        client = Client(server, server.login(ADMIN, PASSWORD))
        notes = {"name": "notes", "schema": {"fields": [{"name": "name"}]}}
        assert client.ask("POST", "/api/collections", notes).status == 201
        yield client
        assert server.stop() == 0


def run_own_tests(site: Site) -> subprocess.CompletedProcess[str]:
    """Run the tests of the extension in its repository; they see what is installed."""
    installed = str(site.instance / "extensions" / "current")
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "tests", "-p", "no:cacheprovider"],
        cwd=site.hub.folder / "user" / site.plugin,
        env=clean_environment({"PYTHONPATH": installed}),
        capture_output=True,
        text=True,
        check=False,
    )
