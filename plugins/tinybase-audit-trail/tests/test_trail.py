"""The trail in a TinyBase that runs."""

from __future__ import annotations

import threading

NOTES = "/api/collections/notes/records"
TRAIL = "/api/collections/audit_trail"


def test_what_happens_to_a_record_is_on_the_trail(tinybase, query):
    ann = tinybase.user("ann@example.com")
    me = tinybase.get("/api/auth/me", ann).json["id"]
    created = tinybase.post(NOTES, {"text": "a"}, ann).json
    tinybase.patch(f"{NOTES}/{created['id']}", {"text": "b"}, ann)
    tinybase.delete(f"{NOTES}/{created['id']}", ann)

    page = query(record_id=created["id"])

    assert [entry["kind"] for entry in page["entries"]] == [
        "record_delete",
        "record_update",
        "record_create",
    ]
    for entry in page["entries"]:
        assert (entry["collection"], entry["actor"], entry["actor_id"]) == ("notes", "user", me)
        assert (entry["origin"], entry["details"]["owner_id"]) == ("http", me)
        assert entry["details"]["fields"] == ["text"]


def test_an_entry_leads_back_to_the_request(tinybase, query):
    headers = {**tinybase.headers, "X-Request-Id": "request-1"}
    tinybase.post(NOTES, {"text": "a"}, headers)
    (entry,) = query(kind="record_create")["entries"]
    assert entry["request_id"] == "request-1"


def test_who_registers_and_who_signs_in_is_on_the_trail(tinybase, query):
    bob = {"email": "bob@example.com", "password": "correct-horse-battery"}
    bob_id = tinybase.post("/api/auth/register", bob, {}).json["id"]
    assert tinybase.post("/api/auth/login", bob, {}).status_code == 200

    login, registration = query(user_id=bob_id)["entries"]

    assert (registration["kind"], registration["actor"]) == ("user_register", "anonymous")
    assert (login["kind"], login["actor"], login["actor_id"]) == ("user_login", "user", bob_id)
    assert login["details"] == {"email": "bob@example.com", "is_admin": False}


def test_a_function_call_and_its_end_are_on_the_trail(tinybase, query):
    query(limit=1)

    (complete,) = query(kind="function_complete")["entries"]

    assert complete["function_name"] == "audit_trail_query"
    assert complete["details"]["status"] == "succeeded"
    calls = query(kind="function_call", function_name="audit_trail_query")["entries"]
    assert len(calls) == 3, "looking at the trail leaves a trace as well"
    assert calls[-1]["details"] == {"fields": ["limit"]}


def test_the_trail_is_not_about_itself(tinybase, query):
    tinybase.post(NOTES, {"text": "a"})
    (entry,) = tinybase.get(f"{TRAIL}/records?filter[kind]=record_create").json["records"]
    tinybase.patch(f"{TRAIL}/records/{entry['id']}", {"origin": "changed"})
    tinybase.delete(f"{TRAIL}/records/{entry['id']}")

    assert query(collection="audit_trail")["total"] == 0


def test_entries_are_no_events_for_other_extensions(tinybase, query):
    handlers = tinybase.services.host.handlers("tinybase-audit-trail")
    listener = next(found for found in handlers if found.hook == "tinybase_on_record_create")
    before = listener.calls

    tinybase.post(NOTES, {"text": "a"})

    assert query(kind="record_create")["total"] == 1
    assert listener.calls == before + 1


def test_only_admins_see_the_trail(tinybase):
    tinybase.post(NOTES, {"text": "a"})
    ann = tinybase.user("ann@example.com")
    for headers, read, write in [(ann, 404, 404), ({}, 403, 401)]:
        assert tinybase.get(f"{TRAIL}/records", headers).status_code == read
        assert tinybase.post(f"{TRAIL}/records", {}, headers).status_code == write
    access = tinybase.get(TRAIL).json["access"]
    assert access == dict.fromkeys(("list", "read", "create", "update", "delete"), "admin")


def test_only_admins_may_query(tinybase):
    ann = tinybase.user("ann@example.com")
    for headers, status in [({}, 401), (ann, 403), (tinybase.headers, 200)]:
        answer = tinybase.post("/api/functions/audit_trail_query", {}, headers)
        assert answer.status_code == status


def test_no_event_is_lost_when_many_happen_at_once(tinybase, query):
    start = threading.Barrier(4)

    def write(number: int) -> None:
        client = tinybase.app.test_client()
        start.wait()
        for turn in range(10):
            body = {"text": f"{number}-{turn}"}
            answer = client.post(NOTES, json=body, headers=tinybase.headers)
            assert answer.status_code == 201

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    page = query(kind="record_create", limit=100)
    assert page["total"] == 40
    assert len({entry["record_id"] for entry in page["entries"]}) == 40


def test_a_trail_that_was_deleted_begins_anew(tinybase, query):
    assert tinybase.delete(TRAIL).status_code == 204
    tinybase.post(NOTES, {"text": "a"})
    assert query(kind="record_create")["total"] == 1


def test_a_foreign_collection_of_that_name_is_left_alone_and_reported(tinybase, caplog):
    tinybase.delete(TRAIL)
    tinybase.collection("audit_trail", {"fields": [{"name": "title"}]})

    assert tinybase.post(NOTES, {"text": "a"}).status_code == 201

    assert "audit_trail is not that of the audit trail" in caplog.text
    assert tinybase.get(f"{TRAIL}/records").json["total"] == 0
