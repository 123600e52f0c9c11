"""Webhooks from a TinyBase that runs to receivers that are real."""

import threading
import time
from functools import partial
from pathlib import Path

import pytest
from receiver import receiving
from tinybase_webhooks import deliveries, sender
from tinybase_webhooks.settings import Settings
from tinybase_webhooks.signing import key_of, shown

from tinybase.testing import running

ROOT = Path(__file__).parent.parent
NOTES = "/api/collections/notes/records"
ENDPOINTS = "/api/collections/webhook_endpoints/records"
DELIVERIES = "/api/collections/webhook_deliveries/records"


@pytest.fixture(scope="module")
def instance(tmp_path_factory):
    settings = {
        "signing_secret": "sesame",
        "allowed_networks": ["127.0.0.0/8"],
        "attempts": 3,
        "retry_seconds": 0.01,
    }
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sender, "POLL_SECONDS", 0.02)
        folder = tmp_path_factory.mktemp("instance")
        with running(folder, extension=ROOT, settings=settings) as tinybase:
            tinybase.collection("notes", {"fields": [{"name": "text"}]})
            yield tinybase


@pytest.fixture
def tinybase(instance):
    """An instance without endpoints and deliveries."""
    yield instance
    for collection in (ENDPOINTS, DELIVERIES):
        for record in instance.get(f"{collection}?limit=1000").json["records"]:
            instance.delete(f"{collection}/{record['id']}")


@pytest.fixture
def setting(monkeypatch):
    """Set something for one test."""
    return partial(monkeypatch.setattr, Settings)


@pytest.fixture
def receiver():
    with receiving() as receiver:
        yield receiver


def endpoint(tinybase, receiver, **fields):
    made = tinybase.post(ENDPOINTS, {"url": receiver.url, **fields})
    assert made.status_code == 201, made.json
    return made.json["id"]


def finished(tinybase, status, seconds=20):
    """Wait until there is exactly one delivery and it has a status; return it."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found = [record["data"] for record in tinybase.get(DELIVERIES).json["records"]]
        if [data["status"] for data in found] == [status]:
            return found[0]
        threading.Event().wait(0.02)
    raise AssertionError(found)


def test_a_receiver_is_told_of_a_new_record_and_can_check_who_tells(tinybase, receiver):
    whom = endpoint(tinybase, receiver)

    note = tinybase.post(NOTES, {"text": "grün"}).json
    told = receiver.next()

    assert told.is_signed_with(shown(key_of("sesame", whom)))
    assert not told.is_signed_with(shown(key_of("sesame", "another")))
    assert abs(int(told.headers["webhook-timestamp"]) - time.time()) < 60
    assert told.headers["content-type"] == "application/json"
    assert told.json["type"] == "record.create"
    data = told.json["data"]
    assert (data["collection"], data["id"]) == ("notes", note["id"])
    assert (data["record"], data["old_record"]) == ({"text": "grün"}, None)
    assert finished(tinybase, "delivered")["answer"] == 204


def test_receivers_hear_of_what_they_asked_for_only(tinybase, receiver):
    tinybase.collection("other", {"fields": [{"name": "text"}]})
    endpoint(tinybase, receiver, events=["record.update"], collections=["note*"])
    tinybase.post("/api/collections/other/records", {"text": "a"})
    note = tinybase.post(NOTES, {"text": "a"}).json["id"]
    tinybase.patch(f"{NOTES}/{note}", {"text": "b"})
    tinybase.delete(f"{NOTES}/{note}")

    told = receiver.next().json

    assert told["type"] == "record.update"
    assert told["data"]["old_record"] == {"text": "a"}
    finished(tinybase, "delivered")


def test_inactive_endpoints_are_told_nothing(tinybase, receiver):
    endpoint(tinybase, receiver, is_active=False)
    tinybase.post(NOTES, {"text": "a"})
    assert tinybase.get(DELIVERIES).json["total"] == 0


def test_nobody_hears_of_a_write_that_was_rolled_back(tinybase, receiver):
    endpoint(tinybase, receiver)
    create = {"op": "create", "data": {"text": "a"}}
    wrong = {"op": "create", "data": {"unknown": 1}}

    answer = tinybase.post(f"{NOTES}/batch", {"operations": [create, wrong]})

    assert answer.status_code == 400
    assert tinybase.get(DELIVERIES).json["total"] == 0


def test_users_are_events_too(tinybase, receiver):
    endpoint(tinybase, receiver, events=["user.register"])
    body = {"email": "new@example.com", "password": "correct-horse-battery"}
    assert tinybase.post("/api/auth/register", body, {}).status_code == 201

    told = receiver.next().json

    assert (told["type"], told["data"]["email"]) == ("user.register", "new@example.com")


def test_a_receiver_that_fails_is_asked_again_with_the_same_id(tinybase, receiver):
    answers = iter([500, 302, 200])
    receiver.answer = lambda _: next(answers)
    endpoint(tinybase, receiver)

    tinybase.post(NOTES, {"text": "a"})
    told = [receiver.next() for _ in range(3)]

    assert len({one.id for one in told}) == 1
    assert len({one.body for one in told}) == 1
    done = finished(tinybase, "delivered")
    assert (done["attempts"], done["error"]) == (3, None)


def test_a_delivery_is_given_up_reported_and_can_be_begun_anew(tinybase, receiver):
    receiver.answer = lambda _: 503
    endpoint(tinybase, receiver)
    tinybase.post(NOTES, {"text": "a"})
    told = [receiver.next() for _ in range(3)]

    given_up = finished(tinybase, "failed")

    assert (given_up["attempts"], given_up["error"]) == (3, "the receiver answered 503")
    assert tinybase.get("/health/ready").json["checks"]["extensions"] == "degraded"
    receiver.answer = lambda _: 200
    with sender.running[-1].open_context() as ctx:
        (found,) = ctx.records.list(deliveries.DELIVERIES).records
        deliveries.redeliver(ctx, found)
    assert receiver.next().id == told[0].id
    finished(tinybase, "delivered")


def test_a_slow_receiver_holds_up_nobody_else(tinybase, receiver):
    go_on = threading.Event()
    receiver.answer = lambda _: 204 if go_on.wait(20) else 500
    endpoint(tinybase, receiver)
    with receiving() as quick:
        endpoint(tinybase, quick)
        for text in "abcdef":
            tinybase.post(NOTES, {"text": text})
        for _ in range(6):
            quick.next()
        assert receiver.requests.qsize() == 1, "one at a time to each endpoint"
        go_on.set()
        for _ in range(6):
            receiver.next()


def test_a_receiver_that_never_answers_is_not_waited_for(tinybase, receiver, setting):
    over = threading.Event()
    receiver.answer = lambda _: 500 + over.wait(20)
    setting("timeout_seconds", 0.1)
    setting("attempts", 1)
    endpoint(tinybase, receiver)

    tinybase.post(NOTES, {"text": "a"})

    try:
        assert finished(tinybase, "failed")["error"] == "no answer within 0.1 s"
    finally:
        over.set()


def test_a_receiver_that_is_gone_for_good_is_asked_no_more(tinybase, receiver):
    receiver.answer = lambda _: 410
    whom = endpoint(tinybase, receiver)
    tinybase.post(NOTES, {"text": "a"})

    finished(tinybase, "failed")

    assert tinybase.get(f"{ENDPOINTS}/{whom}").json["data"]["is_active"] is False


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
def test_without_permission_nothing_private_is_asked(tinybase, receiver, setting, host):
    setting("allowed_networks", [])
    setting("attempts", 1)
    receiver.url = receiver.url.replace("127.0.0.1", host)
    endpoint(tinybase, receiver)

    tinybase.post(NOTES, {"text": "a"})

    assert "is not a public address" in finished(tinybase, "failed")["error"]
    assert receiver.requests.empty()


def test_a_record_that_is_too_large_is_named_and_left_out(tinybase, receiver, setting):
    setting("max_body_bytes", 500)
    endpoint(tinybase, receiver)

    note = tinybase.post(NOTES, {"text": "x" * 1000}).json["id"]
    data = receiver.next().json["data"]

    assert (data["id"], data["record"], data["is_truncated"]) == (note, None, True)


def test_a_secret_is_replaced_without_a_gap(tinybase, receiver, setting):
    whom = endpoint(tinybase, receiver)
    setting("signing_secret", "new")
    setting("previous_signing_secret", "sesame")

    tinybase.post(NOTES, {"text": "a"})
    told = receiver.next()

    for secret in ("new", "sesame"):
        assert told.is_signed_with(shown(key_of(secret, whom)))


def test_many_workers_send_each_delivery_once(tinybase, receiver):
    others = [sender.Sender(sender.running[-1].open_context) for _ in range(2)]
    endpoint(tinybase, receiver)
    for other in others:
        other.start()
    try:
        operations = [{"op": "create", "data": {"text": str(number)}} for number in range(20)]
        tinybase.post(f"{NOTES}/batch", {"operations": operations})
        told = [receiver.next() for _ in operations]
    finally:
        for other in others:
            other.stop()
    assert len({one.id for one in told}) == len(operations)
    assert {one.json["data"]["record"]["text"] for one in told} == {str(n) for n in range(20)}
    assert receiver.requests.empty()


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"url": "ftp://example.com/"}, "record_invalid"),
        ({"url": "https://ann:secret@example.com/"}, "webhook_url"),
        ({"events": ["record.creat"]}, "webhook_event"),
    ],
)
def test_an_endpoint_that_cannot_work_is_refused(tinybase, receiver, fields, code):
    answer = tinybase.post(ENDPOINTS, {"url": receiver.url, **fields})
    assert answer.json["code"] == code


def test_only_admins_see_endpoints_and_deliveries(tinybase, receiver):
    endpoint(tinybase, receiver)
    ann = tinybase.user(f"ann{time.monotonic_ns()}@example.com")
    for path in (ENDPOINTS, DELIVERIES):
        assert tinybase.get(path, ann).status_code == 404


def test_pauses_grow_are_spread_and_have_an_end(setting):
    setting("retry_seconds", 5.0)
    first, second = ([deliveries.pause(n).total_seconds() for _ in range(50)] for n in (1, 4))
    assert 2.5 <= min(first) < max(first) <= 5
    assert 67.5 <= min(second) < max(second) <= 135
    assert deliveries.pause(1000) <= deliveries.LONGEST_PAUSE


def test_what_is_finished_is_deleted_after_a_while(tinybase, receiver, setting):
    endpoint(tinybase, receiver)
    tinybase.post(NOTES, {"text": "a"})
    finished(tinybase, "delivered")
    with sender.running[-1].open_context() as ctx:
        deliveries.prune(ctx)
        assert tinybase.get(DELIVERIES).json["total"] == 1
        setting("keep_days", -1)
        deliveries.prune(ctx)
    assert tinybase.get(DELIVERIES).json["total"] == 0
