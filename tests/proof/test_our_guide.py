"""The example of our own guide, as it stands: installed, served and asked over HTTP."""

from __future__ import annotations

import json
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from packaging.utils import canonicalize_name
from serving import Server

from .conftest import People, Site, make_collection, make_site, people
from .guide import Guide


class Service(ThreadingHTTPServer):
    """The service outside: remembers what is sent to it."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Receiver)
        self.received: list[Any] = []
        self.url = f"http://127.0.0.1:{self.server_port}/events"


class _Receiver(BaseHTTPRequestHandler):
    server: Service

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.received.append(json.loads(self.rfile.read(length)))
        self.send_response(204)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture(scope="module")
def service() -> Iterator[Service]:
    with Service() as service:
        thread = threading.Thread(target=service.serve_forever, args=(0.05,))
        thread.start()
        yield service
        service.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def name(ours: Guide) -> str:
    """Return the name of the extension."""
    return canonicalize_name(tomllib.loads(ours.example["extension.toml"])["extension"]["name"])


@pytest.fixture(scope="module")
def site(ours: Guide, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Return an instance into which the example is installed from a repository."""
    site = make_site(tmp_path_factory.mktemp("ours"))
    address = site.hub.repository("tinybase-extension", ours.example)
    assert f"tinybase extensions install {address}\n" in ours.text
    site.run("extensions", "install", address, "--yes")
    return site


@pytest.fixture(scope="module")
def server(site: Site, service: Service) -> Iterator[Server]:
    with site.serve(EVENT_SYNC_URL=service.url) as server:
        server.wait_for(lambda: server.output.count(f"Events are sent to {service.url}") == 2)
        yield server
        assert server.stop() == 0
        assert server.output.count("No more events are sent") == 2


@pytest.fixture(scope="module")
def everybody(server: Server) -> People:
    everybody = people(server)
    make_collection(everybody, "events", "name")
    make_collection(everybody, "other", "name")
    return everybody


def test_a_new_event_is_sent_and_another_record_is_not(everybody, service):
    before = len(service.received)
    assert everybody.create("other", {"name": "no event"}).status == 201
    assert everybody.create("events", {"name": "launch"}).status == 201
    everybody.server.wait_for(lambda: len(service.received) > before)
    assert service.received[before:] == [{"name": "launch"}]


def test_the_function_sends_all_of_them_again_for_admins(everybody, service):
    assert everybody.call("ext_sync_all", {}, None).status == 401
    assert everybody.call("ext_sync_all", {}, everybody.user).status == 403
    for event in ("a", "b"):
        everybody.create("events", {"name": event})
    listed = everybody.server.request(
        "GET", "/api/collections/events/records", token=everybody.admin
    )
    everybody.server.wait_for(lambda: {"name": "b"} in service.received)
    service.received.clear()

    answer = everybody.call("ext_sync_all", {"force": True}, everybody.admin).json

    assert answer["result"] == {"synced_count": listed.json["total"], "errors": []}
    assert len(service.received) == listed.json["total"]


def test_the_function_refuses_what_its_input_model_does_not_allow(everybody):
    answer = everybody.call("ext_sync_all", {"force": "maybe"}, everybody.admin).json
    assert (answer["status"], answer["error_type"]) == ("failed", "ValidationError")


def test_clients_see_the_function_with_its_models_and_tags(everybody, name):
    get, token = everybody.server.request, everybody.admin
    functions = {item["name"]: item for item in get("GET", "/api/functions", token=token).json}
    assert functions["ext_sync_all"]["tags"] == [name, "sync"]
    assert functions["ext_sync_all"]["extension"] == name
    schema = get("GET", "/api/functions/ext_sync_all/schema", token=token).json
    assert schema["has_input_model"]
    assert schema["has_output_model"]


def test_the_extension_runs_and_no_handler_failed(everybody, name):
    assert everybody.extension(name)["status"] == "enabled"
    assert "failed" not in everybody.server.output


def test_every_piece_of_python_on_the_page_is_valid(ours):
    for block in ours.blocks:
        if block.language == "python":
            compile(block.text, str(ours.path), "exec")
