"""``tinybase-audit-trail`` in a server with two workers."""

from __future__ import annotations

import threading

from .conftest import ADMIN, PASSWORD, run_own_tests

PLUGIN = "tinybase-audit-trail"

NOTES = "/api/collections/notes/records"


def test_the_collection_was_made_and_belongs_to_admins(client):
    shown = client.ask("GET", "/api/collections/audit_trail")
    assert shown.status == 200
    assert set(shown.json["access"].values()) == {"admin"}
    anonymous = client.server.request("GET", "/api/collections/audit_trail/records")
    assert anonymous.status == 403


def test_what_many_clients_do_at_once_is_all_on_the_trail(client):
    tokens = [client.server.login(ADMIN, PASSWORD) for _ in range(2)]
    before = client.call("audit_trail_query", {"collection": "notes", "limit": 1})["total"]
    created: list[str] = []

    def write(number: int) -> None:
        for turn in range(15):
            body = {"name": f"{number}-{turn}"}
            answer = client.ask("POST", NOTES, body, token=tokens[number % 2])
            assert answer.status == 201
            created.append(answer.json["id"])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    query = {"collection": "notes", "kind": "record_create", "limit": 1000}
    client.server.wait_for(
        lambda: client.call("audit_trail_query", query)["total"] == before + len(created)
    )
    entries = client.call("audit_trail_query", query)["entries"]
    seen = [entry["record_id"] for entry in entries]
    assert len(created) == 60
    assert set(created) <= set(seen)
    assert len(seen) == len(set(seen)), "each is there once"


def test_a_login_and_its_function_calls_are_on_the_trail(client):
    me = client.ask("GET", "/api/auth/me").json["id"]
    logins = client.call("audit_trail_query", {"kind": "user_login", "actor_id": me})
    assert logins["entries"][0]["details"] == {"email": ADMIN, "is_admin": True}
    query = {"function_name": "audit_trail_query", "kind": "function_complete", "limit": 1}
    client.server.wait_for(lambda: client.call("audit_trail_query", query)["total"] > 0)
    (ended,) = client.call("audit_trail_query", query)["entries"]
    assert (ended["actor_id"], ended["details"]["status"]) == (me, "succeeded")


def test_what_a_command_does_is_on_the_trail(client, site):
    site.run("records", "create", "notes", '{"name": "from the command line"}')
    query = {"collection": "notes", "actor": "system"}
    (entry,) = client.call("audit_trail_query", query)["entries"]
    assert (entry["kind"], entry["origin"]) == ("record_create", "cli")


def test_the_trail_is_about_everything_but_itself(client):
    (newest,) = client.call("audit_trail_query", {"limit": 1})["entries"]
    assert newest["function_name"] == "audit_trail_query", "who looks at it is on it"
    assert client.call("audit_trail_query", {"collection": "audit_trail"})["total"] == 0


def test_its_metadata_is_shown(client):
    shown = client.ask("GET", "/api/admin/extensions/tinybase-audit-trail").json
    assert (shown["license"], shown["author"]) == ("MIT", "The TinyBase maintainers")
    assert shown["functions"] == ["audit_trail_query"]
    assert len(shown["hooks"]) == 8


def test_its_own_tests_pass(site):
    done = run_own_tests(site)
    assert done.returncode == 0, done.stdout
