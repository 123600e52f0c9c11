"""``tinybase-hello``, as its README shows it."""

from __future__ import annotations

import re

from .conftest import PLUGINS, run_own_tests

PLUGIN = "tinybase-hello"


def test_it_has_the_layout_of_the_guide():
    files = {path.name for path in (PLUGINS / PLUGIN).iterdir()}
    assert {"extension.toml", "__init__.py", "hooks.py", "functions.py", "README.md"} <= files
    assert "pyproject.toml" not in files
    assert (PLUGINS / PLUGIN / "tests/pytest.ini").read_text() == "[pytest]\n"


def test_every_worker_says_hello_before_its_first_request(client):
    assert client.server.output.count("tinybase_hello.hooks: Hello!") == 2


def test_anybody_may_call_hello(client):
    path = "/api/functions/hello"
    answer = client.server.request("POST", path, {"name": "Ann"}).json
    assert answer["result"] == {"message": "Hello, Ann!"}
    answer = client.server.request("POST", path).json
    assert answer["result"] == {"message": "Hello, world!"}
    answer = client.server.request("POST", path, {"name": "x" * 101}).json
    assert (answer["status"], answer["error_type"]) == ("failed", "ValidationError")


def test_a_greeting_is_answered_in_the_log_and_a_note_is_not(client):
    client.ask("POST", "/api/collections/notes/records", {"name": "Bob"})
    client.ask("POST", "/api/collections/greetings/records", {"name": "Ann"})
    client.server.wait_for(lambda: "Ann says hello" in client.server.output)
    assert re.search(r"INFO +\[\d+\] tinybase_hello\.hooks: Ann says hello", client.server.output)
    assert "Bob says hello" not in client.server.output


def test_its_own_tests_pass(site):
    done = run_own_tests(site)
    assert done.returncode == 0, done.stdout
