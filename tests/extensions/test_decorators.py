"""The author's door: every spelling of a decorator, and every misuse."""

from __future__ import annotations

import functools
import subprocess
import sys
from collections.abc import Iterator

import pytest

import tinybase.extensions as door
from tinybase.extensions import (
    HandlerError,
    on_function_call,
    on_record_create,
    on_record_update,
    on_shutdown,
    on_startup,
    on_user_login,
)
from tinybase.extensions.rows import Handler, claim, forget

GUIDE_NAMES = [
    "on_startup",
    "on_shutdown",
    "on_user_login",
    "on_user_register",
    "on_record_create",
    "on_record_update",
    "on_record_delete",
    "on_function_call",
    "on_function_complete",
    "UserLoginEvent",
    "UserRegisterEvent",
    "RecordCreateEvent",
    "RecordUpdateEvent",
    "RecordDeleteEvent",
    "FunctionCallEvent",
    "FunctionCompleteEvent",
    "Reject",
    "hookimpl",
]


@pytest.fixture(autouse=True)
def _clean_rows() -> Iterator[None]:
    yield
    forget(__name__)


def noted() -> list[Handler]:
    return [row for row in claim(__name__) if isinstance(row, Handler)]


@pytest.mark.parametrize("name", GUIDE_NAMES)
def test_the_door_offers_every_name_of_the_guide(name):
    assert name in door.__all__
    assert hasattr(door, name)


def test_importing_the_door_loads_neither_flask_nor_sqlalchemy():
    code = (
        "import sys, tinybase.extensions;"
        "sys.exit(bool({'flask', 'sqlalchemy', 'pydantic', 'marshmallow'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_decorator_returns_the_function_itself():
    def handler(event):
        return event

    assert on_record_create(handler) is handler
    assert on_record_create()(handler) is handler
    assert on_record_create(collection="orders")(handler) is handler
    assert [row.function for row in noted()] == [handler] * 3


def test_a_decorator_works_with_and_without_parentheses():
    @on_startup
    def bare():
        pass

    @on_startup()
    def called():
        pass

    assert [row.function for row in noted()] == [bare, called]
    assert {row.hook for row in noted()} == {"tinybase_on_startup"}


@pytest.mark.parametrize(
    ("given", "patterns"),
    [
        ("orders", ("orders",)),
        ("order*", ("order*",)),
        (["orders", "notes"], ("orders", "notes")),
        (("orders", "n*"), ("orders", "n*")),
    ],
)
def test_a_filter_is_a_name_a_glob_a_list_or_a_tuple(given, patterns):
    on_record_create(collection=given)(lambda event: None)
    assert noted()[0].filters == {"collection": patterns}


def test_the_name_filter_of_function_hooks_looks_at_the_function_name():
    on_function_call(name="pay*")(lambda event: None)
    assert noted()[0].filters == {"function_name": ("pay*",)}


def test_handlers_keep_the_order_in_which_they_were_written_whatever_their_names():
    @on_startup
    def zebra():
        pass

    @on_startup
    def _private():
        pass

    @on_startup
    def zebra():  # noqa: F811 - on purpose
        pass

    assert [row.name.split(":")[1].split(".")[-1] for row in noted()] == [
        "zebra",
        "_private",
        "zebra",
    ]


def test_stacked_decorators_note_the_function_for_each_event():
    @on_record_create(collection="a")
    @on_record_update(collection="b")
    def handler(event):
        pass

    assert {row.decorator for row in noted()} == {"on_record_create", "on_record_update"}


class Shop:
    def sold(self, event):
        pass

    @staticmethod
    def static(event):
        pass

    def __call__(self, event):
        pass


@pytest.mark.parametrize(
    "handler",
    [
        lambda event: None,
        lambda anything: None,
        lambda: None,
        lambda *arguments: None,
        lambda event, retries=3: None,
        functools.partial(lambda level, event: None, "info"),
        Shop().sold,
        Shop.static,
        staticmethod(lambda event: None),
        Shop(),
        print,
    ],
)
def test_whatever_can_be_called_with_an_event_is_a_handler(handler):
    assert on_record_create(handler) is handler
    bound = noted()[0].arguments.bind(handler)
    bound(object(), None)


@pytest.mark.parametrize(
    ("handler", "expected"),
    [
        (lambda event, ctx: (event, ctx), ("EVENT", "CTX")),
        (lambda ctx, event: (event, ctx), ("EVENT", "CTX")),
        (lambda e, *, ctx: (e, ctx), ("EVENT", "CTX")),
        (lambda e, ctx=None: (e, ctx), ("EVENT", "CTX")),
        (lambda e, limit=5, ctx=None: (e, limit, ctx), ("EVENT", 5, "CTX")),
        (lambda *, event: event, "EVENT"),
        (lambda event=None: event, "EVENT"),
        (lambda ctx: ctx, "CTX"),
        (lambda limit=5: limit, 5),
    ],
)
def test_a_handler_gets_what_its_parameters_ask_for(handler, expected):
    on_record_create(handler)
    assert noted()[0].arguments.bind(handler)("EVENT", "CTX") == expected


@pytest.mark.parametrize(
    ("use", "words"),
    [
        (lambda: on_record_create(colection="x"), ["on_record_create", "colection", "collection="]),
        (lambda: on_record_create("orders"), ["on_record_create", 'collection="']),
        (lambda: on_record_create(["orders"]), ["on_record_create", 'collection="']),
        (lambda: on_record_create(collection=5), ["on_record_create", "collection", "list"]),
        (lambda: on_record_create(collection={"a": 1}), ["on_record_create", "collection"]),
        (lambda: on_record_create(collection=[]), ["on_record_create", "collection"]),
        (lambda: on_record_create(collection=""), ["on_record_create", "collection"]),
        (lambda: on_record_create(collection=["a", 1]), ["on_record_create", "collection"]),
        (lambda: on_record_create(name="x"), ["on_record_create", "name"]),
        (lambda: on_function_call(collection="x"), ["on_function_call", "name="]),
        (lambda: on_startup(collection="x"), ["on_startup", "without arguments"]),
        (lambda: on_user_login(email="x"), ["on_user_login", "email"]),
        (lambda: on_startup(tryfirst=True, trylast=True), ["on_startup", "tryfirst", "trylast"]),
        (lambda: on_startup(tryfirst="yes"), ["on_startup", "tryfirst"]),
        (lambda: on_startup(priority=1.5), ["priority", "whole number"]),
        (lambda: on_startup(before="*"), ["before", "name of an extension"]),
        (lambda: on_startup(before="My_Shop", after=["my-shop"]), ["my-shop", "Keep one"]),
        (lambda: on_startup(5), ["on_startup", "int", "def"]),
        (lambda: on_startup()(None), ["on_startup", "NoneType"]),
        (lambda: on_startup(print, print), ["on_startup"]),
        (lambda: on_startup(Shop), ["on_startup", "class Shop"]),
        (lambda: on_startup(Shop.sold), ["on_startup", "method", "bound"]),
        (lambda: on_startup(classmethod(print)), ["on_startup", "classmethod", "bound"]),
        (lambda: on_startup(lambda app: None), ["on_startup", "app", "default"]),
        (lambda: on_shutdown(lambda *, app: None), ["on_shutdown", "app", "default"]),
        (lambda: on_record_create(lambda a, b: None), ["on_record_create", "b", "default"]),
        (lambda: on_record_create(Shop.sold), ["on_record_create", "bound"]),
    ],
)
def test_every_misuse_names_the_decorator_and_the_remedy(use, words):
    with pytest.raises(HandlerError) as refused:
        use()
    for word in words:
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)
    assert noted() == []


def test_a_generator_is_refused_because_its_body_would_never_run():
    def handler(event):
        yield event

    with pytest.raises(HandlerError, match="yield"):
        on_record_create(handler)


def test_an_async_handler_is_accepted_as_it_is():
    async def handler(event):
        pass

    assert on_record_create(handler) is handler
