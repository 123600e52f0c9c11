"""Who may do what: every rule, every operation, every kind of caller."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from uuid_utils.compat import uuid7

from tinybase.actors import ANONYMOUS, SYSTEM, Actor, ActorKind
from tinybase.collections.access import Operation
from tinybase.errors import TinyBaseError

ACTORS = ("anonymous", "stranger", "owner", "admin", "system", "token", "reader", "metrics")


def application(*scopes: str) -> Actor:
    return Actor(ActorKind.APPLICATION, token_id=uuid7(), scopes=frozenset(scopes))


def outcome(action: Callable[..., object], *arguments: Any, **options: Any) -> str:
    """Return "ok", or the code of the refusal."""
    try:
        action(*arguments, **options)
    except TinyBaseError as error:
        return error.code
    return "ok"


class Stage:
    """A collection with these rules, a record of one user, and everybody who may ask."""

    def __init__(self, room: Any, **access: str) -> None:
        self.room = room
        self.owner = room.user()
        self.actors = {
            "anonymous": ANONYMOUS,
            "stranger": room.user(),
            "owner": self.owner,
            "admin": room.admin(),
            "system": SYSTEM,
            "token": application("admin"),
            "reader": application("read"),
            "metrics": application("metrics"),
        }
        room.make("notes", {"name": "n", "type": "int"}, access=access)
        self.record = room.records.create(SYSTEM, "notes", {"n": 1}, owner_id=self.owner.user_id)

    def outcome(self, actor: str, operation: str, record_id: Any = None) -> str:
        """Return "ok", or the code of the refusal."""
        return outcome(self.perform, self.actors[actor], operation, record_id or self.record.id)

    def perform(self, actor: Actor, operation: str, record_id: Any) -> Any:
        records = self.room.records
        if operation == "list":
            return records.list(actor, "notes")
        if operation == "read":
            return records.get(actor, "notes", record_id)
        if operation == "create":
            return records.create(actor, "notes", {"n": 2})
        if operation == "update":
            return records.update(actor, "notes", record_id, {"n": 3})
        return records.delete(actor, "notes", record_id)


READ_REFUSAL, WRITE_REFUSAL = "forbidden", "not_authenticated"

# rule: anonymous, stranger, owner – with every other rule at "admin", so that a collection
# whose rule under test is "admin" too is hidden from users.
ALONE = {
    ("list", "public"): ("ok", "ok", "ok"),
    ("list", "auth"): (READ_REFUSAL, "ok", "ok"),
    ("list", "owner"): (READ_REFUSAL, "ok", "ok"),
    ("list", "admin"): (READ_REFUSAL, "not_found", "not_found"),
    ("read", "public"): ("ok", "ok", "ok"),
    ("read", "auth"): (READ_REFUSAL, "ok", "ok"),
    ("read", "owner"): (READ_REFUSAL, "not_found", "ok"),
    ("read", "admin"): (READ_REFUSAL, "not_found", "not_found"),
    ("create", "public"): ("ok", "ok", "ok"),
    ("create", "auth"): (WRITE_REFUSAL, "ok", "ok"),
    ("create", "owner"): (WRITE_REFUSAL, "ok", "ok"),
    ("create", "admin"): (WRITE_REFUSAL, "not_found", "not_found"),
    ("update", "public"): ("ok", "ok", "ok"),
    ("update", "auth"): (WRITE_REFUSAL, "ok", "ok"),
    ("update", "owner"): (WRITE_REFUSAL, "not_found", "ok"),
    ("update", "admin"): (WRITE_REFUSAL, "not_found", "not_found"),
    ("delete", "public"): ("ok", "ok", "ok"),
    ("delete", "auth"): (WRITE_REFUSAL, "ok", "ok"),
    ("delete", "owner"): (WRITE_REFUSAL, "not_found", "ok"),
    ("delete", "admin"): (WRITE_REFUSAL, "not_found", "not_found"),
}


@pytest.mark.parametrize("actor", ACTORS)
@pytest.mark.parametrize(("operation", "rule"), ALONE)
def test_a_rule_admits_whom_it_should(room, operation, rule, actor):
    stage = Stage(room, **{**dict.fromkeys(Operation, "admin"), operation: rule})
    people = dict(zip(ACTORS, ALONE[operation, rule], strict=False))
    reads = operation in ("list", "read")
    expected = {
        **people,
        "admin": "ok",
        "system": "ok",
        "token": "ok",
        "reader": "ok" if reads else "scope_required",
        "metrics": "scope_required",
    }
    assert stage.outcome(actor, operation) == expected[actor]


@pytest.mark.parametrize("operation", ["update", "delete"])
@pytest.mark.parametrize(
    ("read", "expected"),
    [
        ("public", "forbidden"),
        ("auth", "forbidden"),
        ("owner", "not_found"),
        ("admin", "not_found"),
    ],
)
def test_a_stranger_is_forbidden_to_change_only_what_they_may_read(room, operation, read, expected):
    stage = Stage(room, read=read, **{operation: "owner"})
    assert stage.outcome("stranger", operation) == expected
    assert stage.outcome("owner", operation) == "ok"


@pytest.mark.parametrize("operation", ["list", "read", "create", "update", "delete"])
def test_a_user_is_forbidden_what_is_for_admins_in_a_collection_that_they_see(room, operation):
    access = {**dict.fromkeys(Operation, "auth"), operation: "admin"}
    stage = Stage(room, **access)
    assert stage.outcome("owner", operation) == "forbidden"
    assert stage.outcome("owner", operation, uuid7()) == "forbidden"


@pytest.mark.parametrize("operation", list(Operation))
@pytest.mark.parametrize("actor", ["anonymous", "stranger", "reader", "metrics"])
def test_nobody_can_tell_a_hidden_collection_from_a_missing_one(room, operation, actor):
    stage = Stage(room, **dict.fromkeys(Operation, "admin"))
    if stage.outcome(actor, operation) == "ok":
        return
    hidden = refusal(stage, actor, operation)
    room.collections.delete("notes")
    assert refusal(stage, actor, operation) == hidden


@pytest.mark.parametrize("operation", ["read", "update", "delete"])
@pytest.mark.parametrize("actor", ["anonymous", "stranger"])
def test_nobody_can_tell_a_hidden_record_from_a_missing_one(room, operation, actor):
    stage = Stage(room)
    hidden = refusal(stage, actor, operation)
    room.records.delete(SYSTEM, "notes", stage.record.id)
    assert refusal(stage, actor, operation) == hidden


@pytest.mark.parametrize("operation", ["read", "update", "delete"])
def test_a_record_of_another_collection_is_missing(room, operation):
    stage = Stage(room)
    room.make("other")
    (other,) = room.fill("other", {})
    assert stage.outcome("admin", operation, other) == "not_found"
    assert room.records.get(SYSTEM, "other", other).version == 1


def refusal(stage: Stage, actor: str, operation: str) -> tuple[Any, ...]:
    with pytest.raises(TinyBaseError) as caught:
        stage.perform(stage.actors[actor], operation, stage.record.id)
    error = caught.value
    return error.code, error.status, error.detail, error.members


def test_owners_list_their_own_records_only_and_so_does_the_total(room):
    ann, bob = room.user(), room.user()
    room.make("notes", {"name": "n", "type": "int"})
    for actor, n in ((ann, 1), (bob, 2), (ann, 3), (SYSTEM, 4)):
        room.records.create(actor, "notes", {"n": n})

    page = room.records.list(ann, "notes", limit=1)
    assert [record.data["n"] for record in page.records] == [3]
    assert page.total == 2
    assert room.records.list(ann, "notes", filters={"n": {"gt": 1}}).total == 1
    assert room.records.list(ann, "notes", filters={"owner_id": str(bob.user_id)}).total == 0
    assert room.records.list(SYSTEM, "notes").total == 4


def test_a_record_without_owner_belongs_to_nobody(room):
    stage = Stage(room)
    (record_id,) = room.fill("notes", {"n": 5})
    assert stage.outcome("stranger", "read", record_id) == "not_found"
    assert stage.outcome("anonymous", "read", record_id) == "forbidden"
    nobody = Actor(ActorKind.USER, user_id=None)
    with pytest.raises(TinyBaseError):
        room.records.list(nobody, "notes")


def test_new_records_belong_to_the_one_who_makes_them(room):
    stage = Stage(room, create="public")
    for name in ("stranger", "admin"):
        record = stage.perform(stage.actors[name], "create", None)
        assert record.owner_id == stage.actors[name].user_id
    for name in ("anonymous", "system", "token"):
        assert stage.perform(stage.actors[name], "create", None).owner_id is None


def test_only_admins_say_whose_a_record_is(room):
    stage = Stage(room, create="public", update="public")
    owner_id = stage.owner.user_id
    for name, expected in (
        ("admin", "ok"),
        ("token", "ok"),
        ("stranger", "admin_required"),
        ("anonymous", "not_authenticated"),
    ):
        actor = stage.actors[name]
        outcomes = (
            outcome(room.records.create, actor, "notes", {}, owner_id=owner_id),
            outcome(room.records.update, actor, "notes", stage.record.id, {}, owner_id=owner_id),
        )
        assert outcomes == (expected, expected)


def test_an_admin_can_give_a_record_to_somebody_else(room):
    stage = Stage(room)
    new_owner = stage.actors["stranger"].user_id
    moved = room.records.update(SYSTEM, "notes", stage.record.id, {}, owner_id=new_owner)
    assert (moved.owner_id, moved.version) == (new_owner, 2)
    assert stage.outcome("stranger", "read") == "ok"
    assert stage.outcome("owner", "read") == "not_found"


def test_an_owner_must_exist(room):
    Stage(room)
    with pytest.raises(TinyBaseError) as caught:
        room.records.create(SYSTEM, "notes", {}, owner_id=uuid7())
    assert caught.value.status == 422


def test_a_caller_who_was_deleted_meanwhile_is_told_so(room):
    room.make("notes", access={"create": "auth"})
    with pytest.raises(TinyBaseError) as caught:
        room.records.create(Actor(ActorKind.USER, user_id=uuid7()), "notes", {})
    assert caught.value.code == "invalid_token"


@pytest.mark.parametrize(
    ("given", "read", "listed"),
    [
        ({}, "owner", "owner"),
        ({"read": "admin"}, "admin", "admin"),
        ({"list": "public"}, "public", "public"),
        ({"list": "public", "read": "auth"}, "auth", "public"),
    ],
)
def test_list_and_read_take_the_same_rule_unless_both_are_given(room, given, read, listed):
    room.make("notes", access=given)
    access = room.collections.get("notes").access
    assert (access["read"], access["list"]) == (read, listed)
    assert (access["create"], access["update"], access["delete"]) == ("auth", "owner", "owner")


def test_the_compatible_default_opens_reading(make_room):
    room = make_room(TINYBASE_COLLECTIONS_DEFAULT_ACCESS="compatible")
    room.make("notes")
    assert room.collections.get("notes").access == {
        "list": "public",
        "read": "public",
        "create": "auth",
        "update": "owner",
        "delete": "owner",
    }
    assert room.records.list(ANONYMOUS, "notes").total == 0


def test_people_see_the_collections_that_could_admit_them(room):
    room.make("a_open", access={"list": "public"})
    room.make("b_private")
    room.make("c_admin", access=dict.fromkeys(Operation, "admin"))

    def seen(actor: Actor) -> list[str]:
        collections, total = room.collections.list(actor)
        assert total == len(collections)
        return [collection.name for collection in collections]

    assert seen(ANONYMOUS) == ["a_open"]
    assert seen(room.user()) == ["a_open", "b_private"]
    for everybody in (room.admin(), SYSTEM, application("admin"), application("read")):
        assert seen(everybody) == ["a_open", "b_private", "c_admin"]
    assert seen(application("metrics")) == []


def test_a_hidden_collection_looks_missing(room):
    room.make("notes")
    with pytest.raises(TinyBaseError) as hidden:
        room.collections.visible(ANONYMOUS, "notes")
    room.collections.delete("notes")
    with pytest.raises(TinyBaseError) as missing:
        room.collections.visible(ANONYMOUS, "notes")
    assert str(hidden.value) == str(missing.value)


def test_a_new_rule_holds_at_the_next_request_in_every_process(make_room):
    one, other = make_room(), make_room()
    one.make("notes", access={"list": "public"})
    assert other.records.list(ANONYMOUS, "notes").total == 0
    one.collections.update("notes", options={"access": {"list": "admin"}})
    with pytest.raises(TinyBaseError):
        other.records.list(ANONYMOUS, "notes")
