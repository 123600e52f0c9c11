"""What of an event is written down, without any server."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from uuid import UUID, uuid4

import pytest
from tinybase_audit_trail.entries import describe, write_time
from tinybase_audit_trail.trail import SCHEMA

from tinybase.extensions import (
    FunctionCallEvent,
    FunctionCompleteEvent,
    RecordCreateEvent,
    RecordDeleteEvent,
    RecordUpdateEvent,
    UserLoginEvent,
    UserRegisterEvent,
)

ANN = UUID("01900000-0000-7000-8000-000000000001")
RECORD = UUID("01900000-0000-7000-8000-000000000002")

EVENTS = {
    "record_create": RecordCreateEvent("notes", RECORD, {"b": 1, "a": "secret"}, ANN),
    "record_update": RecordUpdateEvent("notes", RECORD, {"a": 1, "b": 2}, {"a": 1, "b": 3}, ANN),
    "record_delete": RecordDeleteEvent("notes", RECORD, {"a": "secret"}, None),
    "user_login": UserLoginEvent(ANN, "ann@example.com", is_admin=True),
    "user_register": UserRegisterEvent(ANN, "ann@example.com"),
    "function_call": FunctionCallEvent("pay", ANN, {"card": "secret"}),
    "function_complete": FunctionCompleteEvent("pay", ANN, "failed", 7, "secret", "ValueError"),
}

WITHOUT_VALUES = {
    "record_create": {"owner_id": str(ANN), "fields": ["a", "b"]},
    "record_update": {"owner_id": str(ANN), "fields": ["b"]},
    "record_delete": {"owner_id": None, "fields": ["a"]},
    "user_login": {"email": "ann@example.com", "is_admin": True},
    "user_register": {"email": "ann@example.com"},
    "function_call": {"fields": ["card"]},
    "function_complete": {"status": "failed", "duration_ms": 7, "error_type": "ValueError"},
}

WITH_VALUES = {
    "record_create": {"owner_id": str(ANN), "data": {"b": 1, "a": "secret"}},
    "record_update": {"owner_id": str(ANN), "changes": {"b": {"old": 2, "new": 3}}},
    "record_delete": {"owner_id": None, "data": {"a": "secret"}},
    "function_call": {"payload": {"card": "secret"}},
    "function_complete": {
        "status": "failed",
        "duration_ms": 7,
        "error_type": "ValueError",
        "error_message": "secret",
    },
}


@pytest.mark.parametrize("kind", EVENTS)
def test_an_entry_has_the_fields_of_the_collection_and_names_the_kind(kind):
    entry = describe(EVENTS[kind], values=False)
    assert list(entry) == [field["name"] for field in SCHEMA["fields"]]
    assert entry["kind"] == kind
    assert entry["event_id"] == str(EVENTS[kind].event_id)


@pytest.mark.parametrize("kind", WITHOUT_VALUES)
def test_by_default_an_entry_names_fields_and_shows_no_value(kind):
    assert describe(EVENTS[kind], values=False)["details"] == WITHOUT_VALUES[kind]


@pytest.mark.parametrize("kind", WITH_VALUES)
def test_the_operator_may_have_values_written_down(kind):
    assert describe(EVENTS[kind], values=True)["details"] == WITH_VALUES[kind]


def test_a_login_is_the_act_of_the_user_who_signs_in():
    entry = describe(UserLoginEvent(ANN, "a@b.c", is_admin=False, actor="anonymous"))
    assert (entry["actor"], entry["actor_id"], entry["user_id"]) == ("user", str(ANN), str(ANN))


def test_a_user_whom_an_admin_makes_is_the_act_of_the_admin():
    admin = uuid4()
    entry = describe(UserRegisterEvent(ANN, "a@b.c", actor="admin", actor_id=admin))
    assert (entry["actor"], entry["actor_id"], entry["user_id"]) == ("admin", str(admin), str(ANN))


def test_times_are_written_so_that_texts_sort_by_time():
    zone = timezone(timedelta(hours=2))
    assert write_time(datetime(2026, 1, 31, 14, tzinfo=zone)) == "2026-01-31T12:00:00.000000Z"
    assert write_time(datetime(2026, 1, 31, 12)) == "2026-01-31T12:00:00.000000Z"  # noqa: DTZ001
    assert write_time(datetime(2026, 1, 31, 12, tzinfo=UTC)).endswith("Z")
