"""Two hosts, each with an instance folder of its own, on one PostgreSQL."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from databases import URL, Postgres
from github import Hub
from serving import Answer, Server, tinybase

EMAIL, PASSWORD = "admin@example.com", "correct horse battery"
UNLIMITED = {"TINYBASE_RATE_LIMIT_ENABLED": "false"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that has the folders of both hosts."""
    return tmp_path_factory.mktemp("hosts")


@pytest.fixture(scope="module")
def hosts(postgres: Postgres, folders: Path) -> Iterator[tuple[Server, Server]]:
    """Serve two instances on one database; return the servers."""
    folder = folders
    url = postgres.new_database("hosts")[URL]
    for name in ("one", "two"):
        options = ["--no-admin"]
        if name == "one":
            options = ["--admin-email", EMAIL, "--admin-password", PASSWORD]
        made = tinybase("init", folder / name, "--database", url, *options)
        assert made.returncode == 0, made.stderr
    with Server(folder / "one", env=UNLIMITED) as one, Server(folder / "two", env=UNLIMITED) as two:
        yield one, two
    postgres.execute("DROP DATABASE hosts WITH (FORCE)")


def test_what_one_changes_the_other_knows_at_its_next_request(
    hosts: tuple[Server, Server],
) -> None:
    one, two = hosts
    token = one.login(EMAIL, PASSWORD)
    fields = [{"name": "title"}]
    body = {"name": "posts", "schema": {"fields": fields}}
    assert one.request("POST", "/api/collections", body, token=token).status == 201
    path = "/api/collections/posts/records"
    for number in range(5):
        # Tokens, schemas and settings alike, and back and forth.
        name = f"field{number}"
        fields.append({"name": name, "indexed": True})
        change = {"schema": {"fields": fields}}
        assert one.request("PATCH", "/api/collections/posts", change, token=token).status == 200
        created = two.request("POST", path, {name: "x"}, token=token)
        assert (created.status, created.json["data"][name]) == (201, "x")
        assert one.request("GET", f"{path}?filter[{name}]=x", token=token).json["total"] == 1
        settings = {"instance_name": name}
        assert two.request("PATCH", "/api/admin/settings", settings, token=token).status == 200
        found = one.request("GET", "/api/admin/settings", token=token)
        assert found.json["instance_name"] == name
    assert two.request("POST", "/api/auth/logout", {}, token=token).status < 300
    assert one.request("GET", "/api/auth/me", token=token).status == 401


def test_of_two_simultaneous_refreshes_one_wins(hosts: tuple[Server, Server]) -> None:
    one, two = hosts
    for _ in range(3):
        login = {"email": EMAIL, "password": PASSWORD}
        pair = one.request("POST", "/api/auth/login", login).json
        barrier = threading.Barrier(2)

        def refresh(server: Server, token: str, barrier: threading.Barrier = barrier) -> int:
            barrier.wait()
            return server.request("POST", "/api/auth/refresh", {"refresh_token": token}).status

        with ThreadPoolExecutor(2) as pool:
            tokens = [pair["refresh_token"]] * 2
            assert sorted(pool.map(refresh, (one, two), tokens)) == [200, 401]


def test_fifty_racing_registrations_make_one_account(hosts: tuple[Server, Server]) -> None:
    one, two = hosts
    spellings = ["Ada@example.com", "ada@EXAMPLE.com", "ADA@example.com"]

    def register(number: int) -> tuple[int, str]:
        body = {"email": spellings[number % 3], "password": PASSWORD}
        answer = (one, two)[number % 2].request("POST", "/api/auth/register", body)
        return answer.status, answer.json.get("code", "")

    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(register, range(50)))
    assert sorted(set(answers)) == [(201, ""), (400, "email_taken")]
    assert [status for status, _ in answers].count(201) == 1


GREETING = """
from tinybase.functions import register


@register(name="greet", auth="public")
def greet(ctx, payload):
    return {"greeting": "hello"}
"""
MANIFEST = '[extension]\nname = "greeting"\nversion = "1.0.0"\n'
SOON = 5.0
"""A second by the watch, but a machine that does other things as well takes its time."""


def test_an_extension_of_one_host_is_missing_on_the_other_until_it_is_synced(
    hosts: tuple[Server, Server], folders: Path, tmp_path: Path
) -> None:
    hub = Hub(tmp_path)
    address = hub.repository("greeting", {"extension.toml": MANIFEST, "__init__.py": GREETING})
    environment = {**hub.environment, "PIP_NO_INDEX": "1"}

    def command(host: str, *arguments: str) -> str:
        done = tinybase("extensions", *arguments, instance=folders / host, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def call(server: Server) -> Answer:
        return server.request("POST", "/api/functions/greet", {})

    def soon(expected: int) -> None:
        deadline = time.monotonic() + SOON
        while (found := [call(server).status for server in hosts]) != [expected] * 2:
            assert time.monotonic() < deadline, found
            time.sleep(0.05)

    command("one", "install", address, "--yes")
    hosts[0].wait_for(lambda: call(hosts[0]).status == 200)
    assert call(hosts[1]).status == 404
    (listed,) = json.loads(command("two", "list", "--json"))
    assert (listed["name"], listed["status"]) == ("greeting", "missing")
    assert "tinybase extensions sync" in listed["status_reason"]

    shutil.copy(folders / "one" / "extensions.lock", folders / "two")
    command("two", "sync", "--yes")
    soon(200)
    command("one", "disable", "greeting")
    soon(404)
    command("two", "enable", "greeting")
    soon(200)
