"""``tinybase-hello``, as its README shows it."""

from __future__ import annotations

import json
import re
import shlex

from .conftest import PLUGINS, run_own_tests

PLUGIN = "tinybase-hello"
SWITCHING = (["extensions", "disable"], ["extensions", "enable"])


def test_it_has_the_layout_of_the_guide():
    files = {path.name for path in (PLUGINS / PLUGIN).iterdir()}
    assert {"extension.toml", "__init__.py", "hooks.py", "functions.py", "README.md"} <= files
    assert "pyproject.toml" not in files
    assert (PLUGINS / PLUGIN / "tests/pytest.ini").read_text() == "[pytest]\n"


def test_every_worker_says_hello_before_its_first_request(client):
    assert client.server.output.count("tinybase_hello.hooks: Hello!") == 2


def test_what_the_readme_shows_happens(site, client):
    _, collection, _ = commands("tinybase")
    site.run(*collection[1:])
    call, create = (request(line) for line in commands("curl"))

    answer = client.server.request("POST", *call)
    assert (answer.status, answer.json["result"]) == (200, {"message": "Hello, Ann!"})

    assert client.server.request("POST", *create).status == 201
    said = re.compile(r"INFO +\[\d+\] tinybase_hello\.hooks: Ann says hello")
    client.server.wait_for(lambda: said.search(client.server.output))


def commands(program: str) -> list[list[str]]:
    """Return how the README calls a program under its heading "Try it"."""
    text = (PLUGINS / PLUGIN / "README.md").read_text("utf-8").split("\n## ")[1]
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    called = [words for words in map(shlex.split, lines) if words[0] == program]
    return [words for words in called if words[1:3] not in SWITCHING]


def request(curl: list[str]) -> tuple[str, object]:
    """Return path and body of a call of curl, which says that it sends JSON."""
    assert "Content-Type: application/json" in curl
    (url,) = (word for word in curl if word.startswith("http://127.0.0.1:8000/"))
    return url.removeprefix("http://127.0.0.1:8000"), json.loads(curl[curl.index("-d") + 1])


def test_hello_greets_the_world_and_refuses_what_is_no_name(client):
    path = "/api/functions/hello"
    answer = client.server.request("POST", path).json
    assert answer["result"] == {"message": "Hello, world!"}
    answer = client.server.request("POST", path, {"name": "x" * 101}).json
    assert (answer["status"], answer["error_type"]) == ("failed", "ValidationError")


def test_a_record_of_another_collection_is_no_greeting(client):
    made = client.ask("POST", "/api/collections/notes/records", {"name": "Bob"})
    assert made.status == 201
    assert "Bob says hello" not in client.server.output


def test_its_own_tests_pass(site):
    done = run_own_tests(site)
    assert done.returncode == 0, done.stdout
