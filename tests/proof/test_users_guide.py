"""The user's guide, word for word: installed, served and asked over HTTP."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator

import pytest
from serving import Server, tinybase

from .conftest import People, Site, make_collection, make_site, people
from .guide import Guide

CONNECTED, DISCONNECTED = "Connected to external service", "Disconnected from external service"

NOTES = {
    "extension.toml": '[extension]\nname = "guide-notes"\nversion = "1.0.0"\n',
    "__init__.py": "from . import configuration, functions, logs\n",
    "functions.py": """\
from tinybase.functions import register

from . import configuration


@register(name="configuration", auth="public")
def show():
    return [configuration.EXTERNAL_API_KEY, configuration.EXTERNAL_API_URL]
""",
}
"""A second extension, of the blocks about configuration and logging."""

_OTHER = '[extension]\nname = "other"\nversion = "1.0.0"\n'


@pytest.fixture(scope="module")
def site(users: Guide, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return an instance into which the guide's example is installed as the guide says."""
    site = make_site(tmp_path_factory.mktemp("users"))
    site.hub.repository("tinybase-extension", users.example)
    address = "https://github.com/user/tinybase-extension"
    assert f"tinybase extensions install {address}\n" in users.text
    site.run("extensions", "install", address, "--yes")

    configuration = users.code("# In your extension")
    logs = users.code("logger.debug")
    # The guide imports the decorator in an earlier block.
    imported = f"from tinybase.extensions import on_startup\n{logs}"
    site.hub.repository(
        "guide-notes", {**NOTES, "configuration.py": configuration, "logs.py": imported}
    )
    site.run("extensions", "install", "user/guide-notes", "--yes")
    return site


@pytest.fixture(scope="module")
def spare(site: Site) -> Site:
    """Return a copy of the instance, made before anybody served it."""
    return Site(shutil.copytree(site.instance, site.instance / "../spare", symlinks=True), site.hub)


@pytest.fixture(scope="module")
def server(site: Site, spare: Site, users: Guide) -> Iterator[Server]:
    """Return a server with the configuration that the guide shows."""
    (debug,) = (block.text for block in users.blocks if "log_level" in block.text)
    (site.instance / "tinybase.toml").write_text(debug)
    exported = "export MY_EXT_API_KEY=secret123\nexport MY_EXT_API_URL=https://custom.api.com\n"
    assert exported in users.text
    variables = dict(line.removeprefix("export ").split("=") for line in exported.splitlines())
    with site.serve(**variables) as server:
        server.wait_for(lambda: server.output.count(CONNECTED) == 2)
        yield server


@pytest.fixture(scope="module")
def everybody(server: Server) -> People:
    everybody = people(server)
    make_collection(everybody, "events", "name")
    make_collection(everybody, "other", "name")
    return everybody


def test_on_startup_runs_in_every_worker_before_the_first_request(server, everybody):
    assert server.output.count(CONNECTED) == 2
    assert DISCONNECTED not in server.output


def test_a_record_is_created_although_its_handler_fails_and_the_log_names_the_fault(everybody):
    named = (
        "extension my-extension: my_extension.hooks:sync_to_external failed in "
        "tinybase_on_record_create: NameError: name 'send_to_external' is not defined"
    )
    assert everybody.create("other", {"name": "launch"}).status == 201
    assert named not in everybody.server.output, "the handler is for another collection"

    answer = everybody.create("events", {"name": "launch"})

    assert answer.status == 201
    assert answer.json["data"] == {"name": "launch"}
    everybody.server.wait_for(lambda: named in everybody.server.output)
    everybody.server.wait_for(lambda: "Traceback" in everybody.server.output.split(named)[1])


def test_the_function_is_for_admins(everybody):
    assert everybody.call("ext_sync_all", {}, None).status == 401
    assert everybody.call("ext_sync_all", {}, everybody.user).status == 403
    assert everybody.call("ext_sync_all", {}, everybody.admin).status == 200


def test_the_function_answers_what_its_output_model_says(everybody):
    made = {everybody.create("events", {"name": name}).json["id"] for name in "xyz"}

    answer = everybody.call("ext_sync_all", {"force": True}, everybody.admin).json

    assert answer["status"] == "succeeded", answer
    assert answer["result"].keys() == {"synced_count", "errors"}
    assert answer["result"]["synced_count"] == 0
    reason = ": name 'send_to_external' is not defined"
    assert {f"{record_id}{reason}" for record_id in made} <= set(answer["result"]["errors"])


def test_the_function_refuses_what_its_input_model_does_not_allow(everybody):
    answer = everybody.call("ext_sync_all", {"force": "maybe"}, everybody.admin)
    assert answer.status == 200
    assert (answer.json["status"], answer.json["error_type"]) == ("failed", "ValidationError")
    assert "force" in answer.json["error_message"]


def test_both_models_and_the_tags_are_shown_to_clients(everybody):
    get, token = everybody.server.request, everybody.admin
    schema = get("GET", "/api/functions/ext_sync_all/schema", token=token).json
    assert schema["has_input_model"]
    assert schema["has_output_model"]
    assert schema["input_schema"]["properties"]["force"]["default"] is False
    assert schema["output_schema"]["properties"].keys() == {"synced_count", "errors"}

    functions = {item["name"]: item for item in get("GET", "/api/functions", token=token).json}
    shown = functions["ext_sync_all"]
    assert shown["description"] == "Sync all records to external service"
    assert (shown["auth"], shown["tags"]) == ("admin", ["my-extension", "sync"])
    assert shown["extension"] == "my-extension"


def test_an_extension_reads_its_configuration_from_the_environment(everybody):
    answer = everybody.call("configuration", {}, None).json
    assert answer["result"] == ["secret123", "https://custom.api.com"]


def test_debug_logging_shows_the_debug_lines_of_an_extension(server):
    assert server.output.count("guide_notes.logs: Extension starting...") == 2
    assert server.output.count("guide_notes.logs: Extension ready") == 2


def test_the_list_shows_the_manifest(site, everybody):
    listed = site.say("tinybase extensions list")
    assert re.search(r"my-extension +1\.0\.0 +enabled", listed)

    shown = everybody.extension("my-extension")
    assert shown["description"] == "My awesome TinyBase extension"
    assert (shown["author"], shown["license"]) == ("Your Name", "MIT")
    assert (shown["status"], shown["status_reason"]) == ("enabled", None)
    assert shown["repo_url"] == "https://github.com/user/tinybase-extension"


def test_it_is_switched_and_removed_while_the_server_runs_and_the_workers_stay(spare, users):
    def is_there() -> bool:
        answers = {everybody.call("ext_sync_all", {}, everybody.admin).status for _ in range(20)}
        assert len(answers) == 1, "all workers agree"
        return answers == {200}

    def printed(text: str, times: int) -> None:
        # The command is done, so the workers are about to notice if they have not yet.
        server.wait_for(lambda: server.output.count(text) == times, seconds=5)

    with spare.serve() as server:
        everybody = people(server)
        printed(CONNECTED, 2)
        workers = server.workers
        assert is_there()

        spare.say("tinybase extensions disable my-extension")
        printed(DISCONNECTED, 2)
        assert not is_there()

        spare.say("tinybase extensions enable my-extension")
        printed(CONNECTED, 4)
        assert is_there()

        spare.say("tinybase extensions uninstall my-extension", input="y\n")
        printed(DISCONNECTED, 4)
        assert not is_there()
        assert everybody.extension("my-extension") is None
        assert everybody.extension("guide-notes") is not None

        spare.say(
            "tinybase extensions install https://github.com/user/tinybase-extension", input="y\n"
        )
        printed(CONNECTED, 6)
        assert is_there()

        assert server.workers == workers, "nothing was restarted"
        assert server.stop() == 0
        assert server.output.count(DISCONNECTED) == 6


def test_somebody_who_installs_is_warned_and_asked(site):
    address = site.hub.repository("other", {**NOTES, "extension.toml": _OTHER})
    refused = tinybase(
        "extensions", "install", address, instance=site.instance, env=site.hub.environment
    )
    assert refused.returncode == 1
    assert "Extensions execute arbitrary Python code." in refused.stderr
    assert "Only install extensions from trusted sources." in refused.stderr
    assert not (site.instance / "extensions/current/other").exists()
