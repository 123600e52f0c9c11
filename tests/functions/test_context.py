"""What a function is given to work with."""

from __future__ import annotations

import contextlib
import threading
from datetime import UTC, datetime
from uuid import uuid4

import pytest
from sqlalchemy import select
from sqlmodel import select as sqlmodel_select

from tinybase.actors import ANONYMOUS, Actor, ActorKind
from tinybase.db import Session, tables
from tinybase.db.models import Collection, User
from tinybase.errors import Conflict
from tinybase.functions import Context
from tinybase.functions.contexts import Contexts
from tinybase.host import caused_by


@pytest.fixture
def contexts(new_session, records) -> Contexts:
    return Contexts(new_session, records, collections=None)


@pytest.fixture
def stored(database):
    def names() -> list[str]:
        with database.connect() as connection:
            return list(connection.scalars(select(tables.collections.c.name)))

    return names


def collection(name="posts") -> Collection:
    return Collection(name=name, label=name)


def test_a_function_is_told_about_its_call(functions, offer, admin_caller):
    got: list[Context] = []
    offer(lambda ctx: got.extend([ctx]), name="look")
    trigger, request = uuid4(), object()

    with caused_by(actor=admin_caller, origin="http", request_id="r-1"):
        functions.call(
            admin_caller, "look", {}, trigger_type="schedule", trigger_id=trigger, request=request
        )

    (ctx,) = got
    assert (ctx.function_name, ctx.trigger_type, ctx.trigger_id) == ("look", "schedule", trigger)
    assert (ctx.request_id, ctx.user_id, ctx.is_admin) == ("r-1", admin_caller.user_id, True)
    assert ctx.request is request
    assert abs(datetime.now(UTC) - ctx.now).total_seconds() < 60
    assert isinstance(ctx.db, Session)


def test_an_anonymous_caller_has_no_user_id(functions, offer):
    offer(lambda ctx: [ctx.user_id, ctx.is_admin, ctx.request], name="look")

    assert functions.call(ANONYMOUS, "look", {}).result == [None, False, None]


def test_the_session_selects_models_with_sqlmodel(functions, offer, caller):
    @offer
    def emails(ctx):
        return [found.email for found in ctx.db.exec(sqlmodel_select(User)).all()]

    assert functions.call(caller, "emails", {}).result == [f"{caller.user_id}@test.com"]


def test_what_a_function_wrote_is_committed_when_it_returns(functions, offer, caller, stored):
    @offer
    def write(ctx):
        ctx.db.add(collection())

    assert functions.call(caller, "write", {}).status == "succeeded"
    assert stored() == ["posts"]


def test_what_a_function_wrote_is_rolled_back_when_it_raises(functions, offer, caller, stored):
    @offer
    def write(ctx):
        ctx.db.add(collection())
        ctx.db.flush()
        raise ValueError

    functions.call(caller, "write", {})

    assert stored() == []


def test_a_result_that_is_refused_rolls_back_too(functions, offer, caller, stored):
    @offer
    def write(ctx):
        ctx.db.add(collection())
        return object()

    functions.call(caller, "write", {})

    assert stored() == []


def test_a_commit_that_fails_is_a_failed_call(functions, offer, caller, stored):
    @offer
    def write(ctx):
        ctx.db.add_all([collection(), collection()])

    assert functions.call(caller, "write", {}).error_type == "IntegrityError"
    assert stored() == []


def test_the_session_is_closed_whatever_happens(contexts, new_session):
    sessions = []
    watched = Contexts(lambda: sessions.append(new_session()) or sessions[-1], None, None)

    with watched.open(function_name="f") as ctx:
        ctx.db.exec(sqlmodel_select(User)).all()
    with contextlib.suppress(ZeroDivisionError), watched.open(function_name="f") as ctx:
        ctx.db.exec(sqlmodel_select(User)).all()
        raise ZeroDivisionError

    assert [session.in_transaction() for session in sessions] == [False, False]


def test_a_handler_gets_the_context_of_whoever_caused_the_event(contexts):
    actor = Actor(ActorKind.ADMIN, uuid4())

    with (
        caused_by(actor=actor, origin="http", request_id="r-1"),
        contexts.open(function_name="shop.hooks:note") as ctx,
    ):
        assert (ctx.user_id, ctx.is_admin, ctx.request_id) == (actor.user_id, True, "r-1")
        assert (ctx.function_name, ctx.trigger_type) == ("shop.hooks:note", "hook")


def test_records_are_written_by_the_server_for_the_calling_user(functions, offer, caller, records):
    other = uuid4()

    @offer
    def write(ctx):
        ctx.records.create("posts", {"a": 1})
        ctx.records.create("posts", {"a": 2}, owner_id=None)
        ctx.records.create("posts", {"a": 3}, owner_id=other)

    assert functions.call(caller, "write", {}).status == "succeeded"

    assert [options["owner_id"] for *_, options in records.asked] == [caller.user_id, None, other]
    assert {asked[1].kind for asked in records.asked} == {ActorKind.SYSTEM}


def test_records_refuse_to_write_while_the_session_holds_the_write_lock(contexts, records, stored):
    with contexts.open(function_name="f") as ctx:
        ctx.db.exec(sqlmodel_select(User)).all()
        ctx.records.create("posts", {})
        ctx.db.add(collection())
        ctx.db.flush()

        for write in (
            lambda: ctx.records.create("posts", {}),
            lambda: ctx.records.update("posts", uuid4(), {}),
            lambda: ctx.records.delete("posts", uuid4()),
        ):
            with pytest.raises(Conflict, match=r"Call ctx\.db\.commit\(\) first"):
                write()
        ctx.records.get("posts", uuid4())
        ctx.db.commit()
        ctx.records.create("posts", {})

    assert [asked[0] for asked in records.asked] == ["create", "get", "create"]
    assert stored() == ["posts"]


def test_an_author_can_make_a_context_for_a_test():
    ctx = Context(function_name="f", db=None, records=None, collections=None)

    assert (ctx.trigger_type, ctx.user_id, ctx.is_admin) == ("manual", None, False)


def test_a_thread_of_the_authors_has_a_context_of_its_own(functions, offer, caller, stored):
    seen: list[object] = []

    def work(open_context):
        with open_context() as mine:
            mine.db.add(collection())
            seen.extend([mine.user_id, mine.is_admin])

    @offer
    def begin(ctx):
        seen.append(ctx.open)

    functions.call(caller, "begin", {})
    thread = threading.Thread(target=work, args=(seen.pop(),))
    thread.start()
    thread.join(10)

    assert (seen, stored()) == ([None, True], ["posts"])


def test_a_context_of_a_test_opens_nothing():
    ctx = Context(function_name="f", db=None, records=None, collections=None)

    with pytest.raises(RuntimeError, match="Give it open="):
        ctx.open()
