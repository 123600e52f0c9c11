"""``tinybase-tenancy`` and ``tinybase-webhooks``, which know nothing of each other, together."""

from __future__ import annotations

import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from serving import Server, clean_environment, tinybase

from tinybase.functions.registration import check_declaration
from tinybase.packages.validation import validate

from .conftest import ADMIN, PASSWORD, PLUGINS

PLUGIN_NAMES = ("tinybase-tenancy", "tinybase-webhooks")
SETTINGS = {
    "COLLECTIONS": "notes",
    "SIGNING_SECRET": "sesame",
    "ALLOWED_NETWORKS": "127.0.0.0/8",
    "TIMEOUT_SECONDS": "1",
}
receiving = runpy.run_path(str(PLUGINS / "tinybase-webhooks/tests/receiver.py"))["receiving"]


LEFT_BY_TOOLS = shutil.ignore_patterns("__pycache__", ".*")

installed = pytest.mark.skipif(
    not os.environ.get("TINYBASE_TEST_PLUGINS"), reason="TINYBASE_TEST_PLUGINS=1 installs them"
)


def initialise(instance: Path) -> None:
    """Make an instance with an admin."""
    made = tinybase("init", instance, "--admin-email", ADMIN, "--admin-password", PASSWORD)
    assert made.returncode == 0, made.stderr


@pytest.mark.parametrize("name", PLUGIN_NAMES)
def test_its_own_tests_pass(name):
    done = subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "tests", "-q", "-p", "no:cacheprovider"],
        cwd=PLUGINS / name,
        env=clean_environment({"PYTHONDONTWRITEBYTECODE": "1"}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", PLUGIN_NAMES)
def test_nothing_is_wrong_with_it(name):
    assert validate(PLUGINS / name, check_declaration).findings == ()


def test_a_delivery_that_its_worker_died_over_comes_again_under_the_same_id(tmp_path):
    instance, packages = tmp_path / "instance", tmp_path / "packages"
    for name in PLUGIN_NAMES:
        package = packages / name.replace("-", "_")
        shutil.copytree(PLUGINS / name, package, ignore=LEFT_BY_TOOLS)
    environ = {
        **{f"TINYBASE_EXT_PROJECT_{name}": value for name, value in SETTINGS.items()},
        "TINYBASE_EXTENSIONS_MODULES": "tinybase_tenancy,tinybase_webhooks",
        "PYTHONPATH": str(packages),
    }
    initialise(instance)
    go_on = threading.Event()
    with receiving() as receiver:
        receiver.answer = lambda _: 204 if go_on.wait(60) else 500
        with Server(instance, "--workers", "2", env=environ) as server:
            ask = Asker(server)
            note = write_for_organisation(ask, receiver.url)
            first = receiver.next()
            os.killpg(server.process.pid, signal.SIGKILL)
        go_on.set()

        with Server(instance, "--workers", "2", env=environ) as server:
            again = receiver.next()
            ask = Asker(server)
            deliveries = "/api/collections/webhook_deliveries/records"
            server.wait_for(
                lambda: ask("GET", deliveries)["records"][0]["data"]["status"] == "delivered"
            )
            assert server.stop() == 0

    assert (again.id, again.body) == (first.id, first.body)
    data = first.json["data"]
    assert data["id"] == note["id"]
    assert data["record"] == note["data"]
    assert list(note["data"]) == ["organisation"], "tenancy came first"


def write_for_organisation(ask: Asker, url: str) -> Any:
    """Have a note of an organisation, and an endpoint that is told of it."""
    ask("POST", "/api/collections", {"name": "notes", "schema": {"fields": []}})
    endpoints = "/api/collections/webhook_endpoints/records"
    ask("POST", endpoints, {"url": url, "events": ["record.create"], "collections": ["notes"]})
    tea = ask("POST", "/api/collections/organisations/records", {"name": "Tea"})["id"]
    return ask("POST", "/api/collections/notes/records", {"organisation": tea})


@installed
def test_they_are_installed_from_their_folders_and_their_commands_work(tmp_path):
    instance = tmp_path / "instance"
    environ = {
        "TINYBASE_EXT_WEBHOOKS_SIGNING_SECRET": "sesame",
        "TINYBASE_EXT_WEBHOOKS_ALLOWED_NETWORKS": "127.0.0.0/8",
    }

    def run(*arguments: str | Path) -> str:
        done = tinybase(*arguments, instance=instance, env=environ)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    initialise(instance)
    for name in PLUGIN_NAMES:
        copied = shutil.copytree(PLUGINS / name, tmp_path / name, ignore=LEFT_BY_TOOLS)
        run("extensions", "install", copied, "--yes")
    run("extensions", "check")
    with receiving() as receiver:
        endpoint = json.dumps({"url": receiver.url})
        made = json.loads(run("records", "create", "webhook_endpoints", endpoint, "--json"))
        assert "belongs to Tea" in run("x", "tinybase-tenancy", "join", ADMIN, "Tea")
        assert "answered 204" in run("x", "tinybase-webhooks", "test", receiver.url)
        told = receiver.next()

    assert told.json["type"] == "webhook.test"
    assert told.is_signed_with(run("x", "tinybase-webhooks", "secret", made["id"]).strip())
    listed = json.loads(run("x", "tinybase-webhooks", "list", "--json"))
    events = {delivery["event"] for delivery in listed["deliveries"]}
    assert events == {"record.create"}
    one = listed["deliveries"][0]["id"]
    assert run("x", "tinybase-webhooks", "redeliver", one) == "1 to be sent again.\n"
    assert run("x", "tinybase-webhooks", "redeliver", "--failed") == "0 to be sent again.\n"


class Asker:
    """An admin at a server, who is always answered."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._token = server.login(ADMIN, PASSWORD)

    def __call__(self, method: str, path: str, body: object = None) -> Any:
        answer = self._server.request(method, path, body, token=self._token)
        assert answer.status < 300, answer.body
        return answer.json
