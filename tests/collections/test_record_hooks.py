"""Hooks that take part in writes of records: they refuse, change, add, and see what failed."""

from __future__ import annotations

import contextlib
import contextvars
import itertools
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from sqlalchemy import insert, select
from sqlalchemy.exc import SQLAlchemyError

from tinybase.actors import SYSTEM
from tinybase.collections.expressions import RECORDS
from tinybase.collections.transfer import Draft, Line, RecordTransfer
from tinybase.db import db, tables
from tinybase.db.faults import busy
from tinybase.errors import Conflict, TinyBaseError
from tinybase.extensions import Reject
from tinybase.functions import Context


class Counter(db.Model):
    """A table of TinyBase that nothing else in these tests writes, as authors map one."""

    __table__ = tables.counters


BEFORE = ("before_record_create", "before_record_update", "before_record_delete")
AFTER = ("on_record_create", "on_record_update", "on_record_delete", "on_record_change")
HOOKS = (*BEFORE, "on_record_write", *AFTER, "on_record_write_failed")

HANDLERS = """
import sys

from tinybase import extensions, functions

desk = sys.modules["desk_of_record_hooks"].desk

def handler(hook):
    def handle(event, ctx):
        return desk.handle(hook, event, ctx)
    handle.__name__ = handle.__qualname__ = "handle_" + hook
    getattr(extensions, hook)(collection="h_*")(handle)

for hook in desk.hooks:
    handler(hook)

@extensions.before_record_create(collection="h_*")
async def handle_last(event, ctx):
    return desk.handle("last", event, ctx)

@functions.register(name="act", auth="public")
def act(ctx, payload: dict):
    return desk.function(ctx)
"""


@dataclass
class Desk:
    """What the handlers do and what they were told; a test says what they shall do."""

    hooks: tuple[str, ...] = HOOKS
    told: list[tuple[str, Any]] = field(default_factory=list)
    acts: dict[str, Callable[[Any, Context], Any]] = field(default_factory=dict)
    function: Callable[[Context], Any] | None = None

    def handle(self, hook: str, event: Any, ctx: Context) -> Any:
        if hook != "last":
            self.told.append((hook, event))
        act = self.acts.get(hook)
        return None if act is None else act(event, ctx)

    def on(self, hook: str) -> Callable[[Any], Any]:
        """Say what the handler of a hook shall do."""
        return lambda act: self.acts.setdefault(hook, act)

    def of(self, *hooks: str) -> list[Any]:
        """Return the events of some hooks."""
        return [event for hook, event in self.told if hook in hooks]

    @property
    def names(self) -> list[str]:
        return [hook for hook, _ in self.told]


@dataclass
class Shop:
    """A running application and what a test does with it over HTTP, as an admin."""

    app: Flask
    desk: Desk
    admin_id: UUID
    headers: dict[str, str]
    numbers: Any

    @property
    def services(self) -> Any:
        return self.app.extensions["tinybase"]

    def make(self, *fields: dict[str, Any]) -> str:
        """Make a collection with a name of its own."""
        name = f"h_{next(self.numbers)}"
        schema = {"fields": [*fields, {"name": "item"}, {"name": "n", "type": "integer"}]}
        assert self.send("POST", "/api/collections", {"name": name, "schema": schema})[0] == 201
        self.desk.told.clear()
        return name

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Send a request; return the status and the body of the answer."""
        sent = {**self.headers, **{k.replace("_", "-"): v for k, v in headers.items()}}
        answer = self.app.test_client().open(path, method=method, json=body, headers=sent)
        return answer.status_code, answer.get_json(silent=True)

    def add(self, name: str, **data: Any) -> dict[str, Any]:
        """Create a record; return it."""
        status, record = self.send("POST", at(name), data)
        assert status == 201, record
        return record

    def batch(self, name: str, *operations: dict[str, Any]) -> tuple[int, Any]:
        return self.send("POST", f"{at(name)}/batch", {"operations": list(operations)})

    def items(self, name: str) -> list[Any]:
        """Return the items that are stored, as anybody else sees them."""
        listed = self.send("GET", f"{at(name)}?sort=item")[1]["records"]
        return [record["data"]["item"] for record in listed]

    def counters(self) -> set[str]:
        with self.services.database.engine.connect() as connection:
            return set(connection.scalars(select(tables.counters.c.name)))


def at(name: str, record: dict[str, Any] | None = None) -> str:
    path = f"/api/collections/{name}/records"
    return path if record is None else f"{path}/{record['id']}"


@contextlib.contextmanager
def opening(start_app: Any, folder: Path, **environ: str) -> Iterator[Shop]:
    """Start an application whose handlers are at a desk."""
    (folder / "handlers_of_record_hooks.py").write_text(HANDLERS)
    module = ModuleType("desk_of_record_hooks")
    desk = module.desk = Desk()
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setitem(sys.modules, "desk_of_record_hooks", module)
        patch.delitem(sys.modules, "handlers_of_record_hooks", raising=False)
        environ = {
            "TINYBASE_EXTENSIONS_MODULES": "handlers_of_record_hooks",
            "TINYBASE_HOOKS_WAIT_MS": "30000",
            **environ,
        }
        with start_app(**environ) as app:
            services = app.extensions["tinybase"]
            who = ("admin@example.com", "correct horse battery staple")
            account = services.users.create(*who, is_admin=True)
            login = services.tokens.login(*who, address="127.0.0.1")
            headers = {"Authorization": f"Bearer {login.access_token}"}
            yield Shop(app, desk, account.id, headers, itertools.count(1))


@pytest.fixture(scope="module")
def opened(start_app, tmp_path_factory):
    """Start one application for the tests of this module."""
    with opening(start_app, tmp_path_factory.mktemp("handlers")) as shop:
        yield shop


@pytest.fixture
def shop(opened):
    opened.desk.acts.clear()
    opened.desk.told.clear()
    with opened.services.database.write() as work:
        work.connection.execute(tables.counters.delete())
    return opened


@pytest.fixture
def desk(shop):
    return shop.desk


def reject(*_: Any) -> None:
    raise Reject("Not today.", 409, "not_today")


def fail(*_: Any) -> None:
    raise LookupError("lost")


# --- changing --------------------------------------------------------------------------


def test_what_a_hook_changes_in_place_is_stored_answered_and_told(shop, desk):
    name = shop.make()

    @desk.on("before_record_create")
    def change(event, _):
        event.data["item"] += "!"

    record = shop.add(name, item="tea")

    assert record["data"] == {"item": "tea!", "n": None}
    assert shop.items(name) == ["tea!"]
    assert [event.data["item"] for event in desk.of("on_record_create")] == ["tea!"]


def test_a_mapping_that_a_hook_returns_takes_the_place_and_the_next_one_sees_it(shop, desk):
    name, seen = shop.make(), []
    desk.on("before_record_create")(lambda event, _: {"item": "coffee", "n": 1})
    desk.on("last")(lambda event, _: seen.append(event.data))

    assert shop.add(name, item="tea")["data"] == {"item": "coffee", "n": 1}
    assert seen == [{"item": "coffee", "n": 1}]


@pytest.mark.parametrize(
    ("change", "fault"), [({"n": "many"}, "invalid_type"), ({"price": 1}, "unknown_field")]
)
def test_a_record_that_a_hook_broke_is_refused_and_the_extension_named(shop, desk, change, fault):
    name = shop.make()
    desk.on("before_record_create")(lambda event, _: event.data.update(change))

    status, error = shop.send("POST", at(name), {"item": "tea"})

    assert (status, error["code"]) == (400, "record_invalid")
    assert [each["type"] for each in error["errors"]] == [fault]
    assert error["detail"].startswith("The extension project changed the record. The record does")
    assert shop.items(name) == []


def test_a_hook_may_leave_out_what_has_a_default(shop, desk):
    name = shop.make({"name": "tags", "type": "list", "min_length": 1})
    desk.on("before_record_create")(lambda event, _: {"item": "tea"})

    assert shop.add(name, item="coffee", n=1)["data"] == {"tags": [], "item": "tea", "n": None}


# --- updates ---------------------------------------------------------------------------


def test_a_hook_is_asked_about_the_whole_new_content(shop, desk):
    name = shop.make()
    record = shop.add(name, item="tea", n=1)

    shop.send("PATCH", at(name, record), {"n": 2})

    (event,) = desk.of("before_record_update")
    assert (event.record_id, event.collection) == (UUID(record["id"]), name)
    assert event.old_data == {"item": "tea", "n": 1}
    assert event.data == {"item": "tea", "n": 2}
    assert (event.actor, event.actor_id, event.origin) == ("admin", shop.admin_id, "http")


def test_a_write_that_changes_nothing_calls_nothing(shop, desk):
    name = shop.make()
    record = shop.add(name, item="tea")
    desk.told.clear()

    status, same = shop.send("PATCH", at(name, record), {"item": "tea"})

    assert (status, same["version"], desk.told) == (200, 1, [])


def test_a_change_that_a_hook_takes_back_is_none(shop, desk):
    name = shop.make()
    record = shop.add(name, item="tea")
    desk.told.clear()
    desk.on("before_record_update")(lambda event, _: event.old_data)

    status, same = shop.send("PATCH", at(name, record), {"item": "coffee"})

    assert (status, same["version"], same["data"]["item"]) == (200, 1, "tea")
    assert desk.names == ["before_record_update"]


def test_what_replaces_or_creates_asks_the_hook_that_fits(shop, desk):
    name, path = shop.make(), {"id": str(uuid4())}

    assert shop.send("PUT", at(name, path), {"item": "tea"})[0] == 201
    assert shop.send("PUT", at(name, path), {"item": "coffee"})[0] == 200
    new = {"op": "upsert", "id": str(uuid4()), "data": {"item": "milk"}}
    old = {"op": "upsert", "id": path["id"], "data": {"item": "water"}}
    assert shop.batch(name, new, old)[0] == 200

    asked = [hook for hook in desk.names if hook in BEFORE]
    assert asked == [*BEFORE[:2], *BEFORE[:2]]


# --- refusing --------------------------------------------------------------------------


@pytest.mark.parametrize("hook", [*BEFORE, "on_record_write"])
@pytest.mark.parametrize("act", [reject, fail])
def test_a_hook_that_raises_ends_the_write_and_all_that_belongs_to_it(shop, desk, hook, act):
    name, other = shop.make(), shop.make()
    record = shop.add(name, item="old")
    desk.told.clear()

    @desk.on(hook)
    def write_and_raise(event, ctx):
        if event.collection == name:
            ctx.records.create(other, {"item": "side"}, hooks=False)
            ctx.db.add(Counter(name="side", value=1))
            ctx.db.commit()
            act()

    method = {BEFORE[1]: "PATCH", BEFORE[2]: "DELETE"}.get(hook, "POST")
    path = at(name) if method == "POST" else at(name, record)
    status, error = shop.send(method, path, None if method == "DELETE" else {"item": "new"})

    expected = (409, "not_today") if act is reject else (500, "extension_error")
    assert (status, error["code"], error["extension"]) == (*expected, "project")
    assert (shop.items(name), shop.items(other), shop.counters()) == (["old"], [], set())
    assert desk.of(*AFTER) == []


def test_one_refusal_ends_the_whole_batch_and_says_which_operation_it_was(shop, desk):
    name = shop.make()

    @desk.on("before_record_create")
    def refuse(event, _):
        if event.data["item"] == "bad":
            reject()

    operations = [{"op": "create", "data": {"item": item}} for item in ("a", "b", "bad", "c")]
    status, error = shop.batch(name, *operations)

    assert (status, error["code"], error["operation"]) == (409, "not_today", 2)
    assert error["detail"] == "Operation 2: Not today."
    assert shop.items(name) == []
    assert desk.of(*AFTER) == []


def test_a_refusal_is_answered_once_more_to_a_repeated_request(shop, desk):
    name, key = shop.make(), str(uuid4())
    desk.on("before_record_create")(reject)
    first = shop.send("POST", at(name), {"item": "tea"}, Idempotency_Key=key)
    desk.acts.clear()

    assert shop.send("POST", at(name), {"item": "tea"}, Idempotency_Key=key) == first
    assert (first[0], shop.items(name)) == (409, [])


def test_a_collection_is_not_deleted_while_a_hook_keeps_one_of_its_records(shop, desk):
    name = shop.make()
    for item in ("a", "b", "keep"):
        shop.add(name, item=item)
    desk.told.clear()
    desk.on("before_record_delete")(
        lambda event, _: reject() if event.data["item"] == "keep" else None
    )

    status, error = shop.send("DELETE", f"/api/collections/{name}")
    assert (status, error["code"], shop.items(name)) == (409, "not_today", ["a", "b", "keep"])
    assert desk.of(*AFTER) == []

    desk.acts.clear()
    desk.told.clear()
    assert shop.send("DELETE", f"/api/collections/{name}")[0] == 204
    kinds = ("before_record_delete", "on_record_write", "on_record_delete", "on_record_change")
    assert [len(desk.of(kind)) for kind in kinds] == [3, 3, 3, 3]


# --- taking part -----------------------------------------------------------------------


def test_what_a_hook_writes_is_committed_with_the_record_and_told_in_order(shop, desk):
    name, log = shop.make(), shop.make()

    @desk.on("on_record_write")
    def note(event, ctx):
        if event.collection == name:
            item = f"{event.action} {(event.new_data or event.old_data)['item']}"
            ctx.records.create(log, {"item": item})

    record = shop.add(name, item="a")
    shop.send("PATCH", at(name, record), {"item": "b"})
    shop.send("DELETE", at(name, record))

    assert shop.items(log) == ["create a", "delete b", "update b"]
    changes = [(e.action, e.collection, e.depth) for e in desk.of("on_record_change")]
    assert changes == [
        (action, where, depth)
        for of in ("create", "update", "delete")
        for action, where, depth in ((of, name, 0), ("create", log, 1))
    ]


def test_a_change_is_told_with_what_was_and_what_is(shop, desk):
    name = shop.make()
    record = shop.add(name, item="a")
    shop.send("PATCH", at(name, record), {"item": "b"})
    shop.send("DELETE", at(name, record))

    a, b = {"item": "a", "n": None}, {"item": "b", "n": None}
    for hook in ("on_record_write", "on_record_change"):
        told = [(e.action, e.old_data, e.new_data, str(e.record_id)) for e in desk.of(hook)]
        expected = [("create", None, a), ("update", a, b), ("delete", b, None)]
        assert told == [(*each, record["id"]) for each in expected]
        assert {event.owner_id for event in desk.of(hook)} == {shop.admin_id}


def test_the_facts_are_told_after_the_commit_and_to_nobody_who_can_take_it_back(shop, desk):
    name, seen = shop.make(), []
    of_collection = RECORDS.c.collection_id == shop.services.collections.get(name).id

    def look(event, ctx):
        with shop.services.database.engine.connect() as elsewhere:
            found = len(elsewhere.execute(select(RECORDS.c.id).where(of_collection)).all())
        seen.append((found, len(ctx.records.list(name).records)))

    for hook in ("before_record_create", "on_record_write", "on_record_change"):
        desk.on(hook)(look)
    desk.on("on_record_create")(reject)
    shop.add(name, item="tea")

    assert seen == [(0, 0), (0, 1), (1, 1)]


def test_a_later_operation_of_a_batch_sees_what_a_hook_did_for_an_earlier_one(shop, desk):
    orders, stock = shop.make(), shop.make()
    shop.add(stock, item="tea", n=3)
    desk.on("before_record_create")(take_from(stock))
    two, one = ({"op": "create", "data": {"item": "tea", "n": n}} for n in (2, 1))

    assert shop.batch(orders, two, two)[1]["operation"] == 1
    assert shop.batch(orders, two, one)[0] == 200
    assert shop.batch(orders, one)[0] == 409

    (left,) = shop.send("GET", at(stock))[1]["records"]
    assert left["data"]["n"] == 0


def test_the_last_pieces_are_sold_once_however_many_ask_at_the_same_time(shop, desk):
    orders, stock = shop.make(), shop.make()
    shop.add(stock, item="tea", n=5)
    desk.on("before_record_create")(take_from(stock))
    clients = 6
    start, answers = threading.Barrier(clients), []

    def buy():
        start.wait()
        answers.extend(
            [shop.send("POST", at(orders), {"item": "tea", "n": 1})[0] for _ in range(2)]
        )

    threads = [threading.Thread(target=buy) for _ in range(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    # Who sees another version than the one they change is told to try again.
    assert set(answers) <= {201, 409}
    sold = answers.count(201)
    (left,) = shop.send("GET", at(stock))[1]["records"]
    assert (sold, len(shop.items(orders)), left["data"]["n"]) == (5, 5, 0)


def take_from(stock: str) -> Callable[[Any, Context], None]:
    """Return a handler that takes what is ordered out of a stock, if there is enough."""

    def take(event: Any, ctx: Context) -> None:
        if event.collection == stock:
            return
        (found,) = ctx.records.list(stock, filters={"item": event.data["item"]}).records
        while True:
            shelf = ctx.records.get(stock, found.id)
            left = shelf.data["n"] - event.data["n"]
            if left < 0:
                reject()
            with contextlib.suppress(TinyBaseError):
                ctx.records.update(stock, shelf.id, {"n": left}, version=shelf.version)
                return

    return take


def test_a_session_takes_part_and_its_rollback_undoes_its_own_rows_only(shop, desk):
    name, other = shop.make(), shop.make()

    @desk.on("before_record_create")
    def use(event, ctx):
        if event.collection == other:
            return
        for session, mine in ((ctx.db, "ctx"), (db.session, "flask")):
            session.add(Counter(name=f"{mine} kept", value=1))
            session.commit()
            assert session.get(Counter, f"{mine} kept").value == 1
            ctx.records.create(other, {"item": mine})
            session.add(Counter(name=f"{mine} undone", value=1))
            session.flush()
            session.rollback()
        ctx.db.add(Counter(name="at the end", value=1))
        db.session.add(Counter(name="never", value=1))

    shop.add(name, item="tea")

    assert shop.counters() == {"ctx kept", "flask kept", "at the end"}
    assert shop.items(other) == ["ctx", "flask"]


def test_a_session_sees_what_is_not_committed_yet(shop, desk):
    name, seen = shop.make(), []

    @desk.on("on_record_write")
    def look(event, ctx):
        version = select(RECORDS.c.version).where(RECORDS.c.id == event.record_id)
        seen.append(ctx.db.scalar(version))

    record = shop.add(name, item="a")
    shop.send("PATCH", at(name, record), {"item": "b"})

    assert seen == [1, 2]


def test_a_session_in_a_nested_transaction_is_told_to_leave_it_first(shop, desk):
    name, other, told = shop.make(), shop.make(), []

    @desk.on("before_record_create")
    def nest(event, ctx):
        if event.collection == other:
            return
        with ctx.db.begin_nested():
            ctx.db.add(Counter(name="nested", value=1))
            with pytest.raises(Conflict, match="Leave the block") as refused:
                ctx.records.create(other, {"item": "x"})
            told.append(refused)
        ctx.records.create(other, {"item": "y"})

    shop.add(name, item="tea")

    assert (len(told), shop.items(other), shop.counters()) == (1, ["y"], {"nested"})


def test_a_failure_that_a_hook_copes_with_leaves_the_rest_as_it_is(shop, desk):
    name, other, seen = shop.make(), shop.make({"name": "key", "unique": True}), []
    desk.on("on_record_write_failed")(lambda event, _: seen.append(shop.items(name)))

    @desk.on("before_record_create")
    def cope(event, ctx):
        if event.collection == name:
            ctx.records.create(other, {"item": "one", "key": "same"})
            for bad in ({"item": "two", "key": "same"}, {"unknown": 1}):
                with contextlib.suppress(TinyBaseError):
                    ctx.records.create(other, bad)
            with contextlib.suppress(TinyBaseError):
                ctx.records.get(other, uuid4())

    shop.add(name, item="tea")

    assert (shop.items(name), shop.items(other)) == (["tea"], ["one"])
    assert [event.collection for event in desk.of("on_record_create")] == [other, name]
    failed = [(e.collection, e.error_code, e.depth) for e in desk.of("on_record_write_failed")]
    assert failed == [(other, "unique_violation", 1), (other, "record_invalid", 1)]
    assert seen == [["tea"], ["tea"]]


def test_an_async_hook_takes_part_as_well(shop, desk):
    name, other = shop.make(), shop.make()

    @desk.on("last")
    def write(event, ctx):
        if event.collection == name:
            ctx.records.create(other, {"item": "side"}, hooks=False)
            if event.data["item"] == "bad":
                reject()

    assert shop.send("POST", at(name), {"item": "bad"})[0] == 409
    assert shop.items(other) == []
    shop.add(name, item="good")
    assert shop.items(other) == ["side"]


def test_who_outlives_the_transaction_is_refused(shop, desk):
    name, kept = shop.make(), []

    @desk.on("before_record_create")
    def keep(_, ctx):
        kept.append((contextvars.copy_context(), ctx))

    shop.add(name, item="tea")
    ((context, ctx),) = kept

    for use in (lambda: ctx.records.create(name, {}), lambda: ctx.records.list(name)):
        with pytest.raises(Conflict, match="is over"):
            context.run(use)
    assert shop.items(name) == ["tea"]


def test_what_a_hook_tries_after_it_was_given_up_reaches_no_other_transaction(start_app, tmp_path):
    with opening(start_app, tmp_path, TINYBASE_HOOKS_DECIDE_SECONDS="1") as shop:
        name, refused = shop.make(), []
        go_on, done = threading.Event(), threading.Event()

        @shop.desk.on("before_record_create")
        def hang(event, ctx):
            if event.data["item"] != "slow":
                return
            ctx.db.add(Counter(name="early", value=1))
            ctx.db.flush()
            go_on.wait(30)
            for write in (
                lambda: ctx.records.create(name, {"item": "late"}),
                lambda: ctx.db.execute(insert(Counter).values(name="late", value=1)),
                lambda: db.session.execute(insert(Counter).values(name="late", value=1)),
            ):
                with pytest.raises((Conflict, SQLAlchemyError)) as found:
                    write()
                refused.append(found)
            done.set()

        status, error = shop.send("POST", at(name), {"item": "slow"})
        assert (status, error["code"]) == (500, "extension_error")
        with shop.services.database.write():
            go_on.set()
            assert done.wait(30)
        shop.add(name, item="next")

        assert len(refused) == 3
        assert (shop.items(name), shop.counters()) == (["next"], set())


def test_a_collection_cannot_be_made_inside_a_transaction(shop, desk):
    name, told = shop.make(), []

    @desk.on("before_record_create")
    def make(_, ctx):
        assert ctx.collections.ensure(name).name == name
        with pytest.raises(Conflict, match="on_startup") as refused:
            ctx.collections.ensure("h_never")
        told.append(refused)

    shop.add(name, item="tea")

    assert len(told) == 1


@pytest.mark.parametrize("way", ["create", "update", "delete"])
def test_no_index_is_made_or_dropped_inside_a_transaction(shop, desk, way):
    """On PostgreSQL it would wait for the end of the transaction that waits for it."""
    name, indexed = shop.make(), shop.make({"name": "code", "unique": True})
    schema = {"fields": [{"name": "sku", "indexed": True}]}
    collections, told = shop.services.collections, []
    ways = {
        "create": lambda: collections.create("h_indexed", schema=schema),
        "update": lambda: collections.update(name, schema=schema),
        "delete": lambda: collections.delete(indexed),
    }

    @desk.on("before_record_create")
    def change(_, ctx):
        with pytest.raises(Conflict, match="inside the transaction of a write") as refused:
            ways[way]()
        told.append(refused)

    shop.add(name, item="tea")

    assert (len(told), shop.items(name)) == (1, ["tea"])
    assert collections.find("h_indexed") is None
    assert collections.get(indexed).version == 1
    desk.acts.clear()
    collections.delete(indexed)


# --- what failed -----------------------------------------------------------------------


def test_every_write_that_was_rolled_back_is_told(shop, desk):
    name = shop.make({"name": "key", "unique": True})
    one, two = shop.add(name, item="1", key="1"), shop.add(name, item="2", key="2")
    new = {"id": str(uuid4())}
    desk.told.clear()
    desk.on("before_record_delete")(reject)
    desk.on("before_record_create")(lambda event, _: fail() if event.data["item"] == "x" else None)

    shop.send("POST", at(name), {"n": "many"})
    shop.send("PATCH", at(name, two), {"key": "1"})
    shop.send("PATCH", at(name, one), {"item": "3"}, If_Match='"7"')
    shop.send("PATCH", at(name, new), {"item": "3"})
    shop.send("DELETE", at(name, one))
    shop.send("PUT", at(name, new), {"item": "x"})
    shop.batch(name, {"op": "create", "data": {"item": "a"}}, {"op": "delete", "id": one["id"]})

    told = [(e.action, e.record_id, e.error_code) for e in desk.of("on_record_write_failed")]
    assert told == [
        ("create", None, "record_invalid"),
        ("update", UUID(two["id"]), "unique_violation"),
        ("update", UUID(one["id"]), "version_mismatch"),
        ("update", UUID(new["id"]), "not_found"),
        ("delete", UUID(one["id"]), "not_today"),
        ("create", UUID(new["id"]), "extension_error"),
        ("batch", None, "not_today"),
    ]
    assert desk.of("on_record_write_failed")[-1].error_message == "Operation 1: Not today."
    assert desk.of(*AFTER) == []


def test_what_was_refused_before_a_transaction_is_not_told(shop, desk):
    name = shop.make()
    client: FlaskClient = shop.app.test_client()

    assert client.post(at(name), json={"item": "tea"}).status_code == 401
    assert client.post(at(name), json={"item": "tea"}, headers={}).status_code == 401
    assert shop.send("POST", at("h_missing"), {"item": "tea"})[0] == 404
    assert shop.send("POST", f"{at(name)}/batch", {"operations": []})[0] == 422

    assert desk.told == []


def test_a_write_whose_turn_never_came_is_not_told(shop, desk, monkeypatch):
    name = shop.make()

    def enter():
        raise busy()

    with monkeypatch.context() as patch:
        patch.setattr(shop.services.database._queue, "enter", enter)
        status, error = shop.send("POST", at(name), {"item": "tea"})

    assert (status, error["code"], desk.told) == (503, "database_busy", [])


def test_a_failure_is_told_when_everything_has_been_rolled_back(shop, desk):
    name, seen = shop.make(), []
    desk.on("on_record_write")(fail)
    desk.on("on_record_write_failed")(lambda event, _: seen.append(shop.items(name)))

    assert shop.send("POST", at(name), {"item": "tea"}, Idempotency_Key=str(uuid4()))[0] == 500
    assert shop.send("POST", at(name), {"item": "tea"})[0] == 500

    assert seen == [[], []]


# --- without hooks, and in circles -----------------------------------------------------


def test_a_write_without_hooks_calls_none(shop, desk):
    name = shop.make({"name": "key", "unique": True})

    def act(ctx):
        record = ctx.records.create(name, {"item": "a", "key": "1"}, hooks=False)
        ctx.records.update(name, record.id, {"item": "b"}, hooks=False)
        with contextlib.suppress(TinyBaseError):
            ctx.records.create(name, {"key": "1"}, hooks=False)
        ctx.records.delete(name, record.id, hooks=False)

    desk.function = act
    assert shop.send("POST", "/api/functions/act", {})[1]["status"] == "succeeded"
    assert desk.told == []


def test_what_a_function_writes_is_asked_about_and_it_is_told_the_refusal(shop, desk):
    name = shop.make()
    desk.function = lambda ctx: str(ctx.records.create(name, {"item": "tea"}).id)
    desk.on("before_record_create")(reject)

    refused = shop.send("POST", "/api/functions/act", {})[1]
    desk.acts.clear()
    done = shop.send("POST", "/api/functions/act", {})[1]

    assert (refused["error_type"], refused["error_message"]) == ("Reject", "Not today.")
    assert (done["status"], shop.items(name)) == ("succeeded", ["tea"])
    assert [event.origin for event in desk.of("before_record_create")] == ["function"] * 2


def test_a_hook_that_causes_itself_is_stopped_and_the_answer_shows_the_chain(shop, desk):
    name = shop.make()
    record = shop.add(name, item="a", n=0)
    desk.told.clear()

    @desk.on("before_record_update")
    def again(event, ctx):
        ctx.records.update(name, event.record_id, {"n": event.data["n"] + 1})

    status, error = shop.send("PATCH", at(name, record), {"n": 1})

    assert (status, error["code"]) == (409, "conflict")
    handler = "handlers_of_record_hooks:handle_before_record_update"
    assert f"handlers have caused one another ({handler} -> {handler}" in error["detail"]
    assert len(desk.of("before_record_update")) == 8
    assert shop.send("GET", at(name, record))[1]["data"]["n"] == 0


def test_a_circle_through_a_commit_is_stopped_as_well(shop, desk):
    one, other, refusals = shop.make(), shop.make(), []

    @desk.on("before_record_create")
    def inside(event, ctx):
        if event.collection == one:
            ctx.records.create(other, {"n": event.depth})

    @desk.on("on_record_create")
    def afterwards(event, ctx):
        if event.collection == other:
            try:
                ctx.records.create(one, {"n": event.depth})
            except Conflict as refusal:
                refusals.append(refusal.detail)

    shop.add(one)

    assert 0 < len(shop.items(one)) == len(shop.items(other)) < 10
    handler = "handlers_of_record_hooks:handle_"
    links = (f"{handler}before_record_create", f"{handler}on_record_create")
    assert len(refusals) == 1
    assert f"8 handlers have caused one another ({' -> '.join(links * 4)})" in refusals[0]


def test_a_hook_that_writes_the_record_it_is_asked_about_is_told_what_to_do(shop, desk):
    name = shop.make()
    record = shop.add(name, item="a", n=0)

    @desk.on("before_record_update")
    def write(event, ctx):
        ctx.records.update(name, event.record_id, {"n": 7}, hooks=False)

    status, error = shop.send("PATCH", at(name, record), {"n": 1})

    assert (status, error["code"]) == (500, "extension_error")
    assert error["detail"].startswith("The extension project wrote the record while asked about")
    assert shop.send("GET", at(name, record))[1]["version"] == 1


def test_the_answer_is_the_record_as_hooks_have_left_it(shop, desk):
    name = shop.make()

    @desk.on("on_record_write")
    def number(event, ctx):
        ctx.records.update(name, event.record_id, {"n": 7}, hooks=False)

    record = shop.add(name, item="a")

    assert (record["version"], record["data"]["n"]) == (2, 7)
    assert shop.send("GET", at(name, record))[1] == record


# --- imports ---------------------------------------------------------------------------


def test_an_import_asks_about_every_line_if_it_shall(shop, desk):
    name, log = shop.make(), shop.make()
    transfer = RecordTransfer(shop.services.database, shop.services.host, shop.services.collections)
    numbers = defaultdict(int)

    @desk.on("before_record_create")
    def change(event, ctx):
        if event.collection == name:
            ctx.records.create(log, {"item": event.data["item"]})
            if event.data["item"] == "bad":
                reject()
            event.data["n"] = 7
            numbers[event.data["item"]] += 1

    lines = [Line(n, Draft({"item": item})) for n, item in enumerate(("a", "bad", "b"), 1)]
    collection = shop.services.collections.get(name)
    with shop.app.app_context():
        refused = transfer.store(collection, lines, may_refuse=None, tell=True)
        silent = transfer.store(collection, lines[1:2], may_refuse=0)
        dry = transfer.store(collection, lines[:1], may_refuse=0, tell=True, keep=False)

    assert ([(each.line, each.error.code) for each in refused], silent, dry) == (
        [(2, "not_today")],
        [],
        [],
    )
    assert shop.items(name) == ["a", "b", "bad"]
    assert shop.items(log) == ["a", "b"]
    created = [(e.collection, e.data["item"], e.data["n"]) for e in desk.of("on_record_create")]
    assert sorted(created) == sorted(
        [(log, "a", None), (log, "b", None), (name, "a", 7), (name, "b", 7)]
    )


def test_an_import_ends_where_an_extension_fails(shop, desk):
    name = shop.make()
    desk.on("before_record_create")(fail)
    transfer = RecordTransfer(shop.services.database, shop.services.host, shop.services.collections)

    with shop.app.app_context(), pytest.raises(TinyBaseError) as failed:
        transfer.store(
            shop.services.collections.get(name),
            [Line(1, Draft({"item": "a"}))],
            may_refuse=None,
            tell=True,
        )

    assert (failed.value.code, shop.items(name)) == ("extension_error", [])


def test_the_server_itself_is_asked_too(shop, desk):
    name = shop.make()
    desk.on("before_record_create")(reject)

    with pytest.raises(TinyBaseError) as refused:
        shop.services.records.create(SYSTEM, name, {"item": "a"})

    assert (refused.value.status, refused.value.code) == (409, "not_today")
