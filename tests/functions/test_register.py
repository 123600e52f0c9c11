"""``@register`` notes a function and leaves it what it was."""

from __future__ import annotations

import functools

import pytest

from tinybase.extensions import HandlerError
from tinybase.extensions.rows import Declaration, claim, forget
from tinybase.functions import Context, register
from tinybase.functions.parameters import read_parameters
from tinybase_hookspecs import FunctionDeclaration


@pytest.fixture(autouse=True)
def no_rows_left():
    yield
    forget(__name__)


def declared() -> list[FunctionDeclaration]:
    return [row.value for row in claim(__name__) if isinstance(row, Declaration)]


def test_register_returns_the_function_unchanged():
    def add(payload):
        return {"sum": payload["a"] + payload["b"]}

    assert register(name="add")(add) is add
    assert add({"a": 1, "b": 2}) == {"sum": 3}


def test_register_notes_what_it_was_given():
    def add(ctx, payload): ...

    register(name="add", description="Add", auth="public", tags=["math"], input_model=dict)(add)

    assert declared() == [FunctionDeclaration("add", add, "Add", "public", dict, None, ("math",))]


def test_register_defaults_to_signed_in_callers():
    register(name="add")(lambda: None)

    (declaration,) = declared()
    assert (declaration.auth, declaration.description, declaration.tags) == ("auth", "", ())


def test_the_module_of_the_decorator_owns_the_function_whoever_defined_it():
    register(name="join")(functools.partial(print, "a"))

    assert [declaration.name for declaration in declared()] == ["join"]


def test_one_function_can_be_registered_under_two_names():
    @register(name="one")
    @register(name="two")
    def both(): ...

    assert sorted(declaration.name for declaration in declared()) == ["one", "two"]


class Wrong:
    def method(self, payload): ...


def needs_three(ctx, payload, more): ...


def generator(payload):
    yield payload


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda: register(needs_three), r'Write @register\(name="a_name"'),
        (register, r'Write @register\(name="a_name"'),
        (lambda: register("a", "b"), "everything else by keyword"),
        (lambda: register(name=3), r'Write @register\(name="a_name"'),
        (lambda: register(name="a", nmae="b"), r"@register\('a'\) takes no nmae. It takes name"),
        (lambda: register(name="a b")(print), r"@register\('a b'\).*Choose another one"),
        (lambda: register(name="1a")(print), "begins with a letter"),
        (lambda: register(name="a" * 101)(print), "at most 100"),
        (lambda: register(name="a", auth="root")(print), '"public", "auth" or "admin"'),
        (lambda: register(name="a", auth=["admin"])(print), '"public", "auth" or "admin"'),
        (lambda: register(name="a", tags="math")(print), r'Write tags=\["a", "b"\]'),
        (lambda: register(name="a", tags=[1])(print), r'Write tags=\["a", "b"\]'),
        (lambda: register(name="a", tags=1)(print), r'Write tags=\["a", "b"\]'),
        (lambda: register(name="a", description=1)(print), "description is a text"),
        (lambda: register(name="a")(3), "Put it directly above a def"),
        (lambda: register(name="a")(Wrong), "not the class Wrong"),
        (lambda: register(name="a")(generator), "return a list instead"),
        (lambda: register(name="a")(needs_three), "requires more. Remove the parameter"),
        (lambda: register(name="a")(Wrong.method), "Make it a @staticmethod"),
    ],
)
def test_misuse_fails_at_import_naming_the_decorator_and_the_remedy(use, message):
    with pytest.raises(HandlerError, match=message) as caught:
        use()

    assert "@register" in str(caught.value)
    assert declared() == []


def annotated(data: dict, where: Context): ...


class Service:
    def call(self, payload, ctx): ...

    @staticmethod
    def static(payload): ...

    def __call__(self, ctx): ...


def wrapper(*args, **kwargs): ...


@pytest.mark.parametrize(
    ("function", "positional", "keywords"),
    [
        (lambda: 1, (), {}),
        (lambda ctx: 1, ("ctx",), {}),
        (lambda context: 1, ("ctx",), {}),
        (lambda payload: 1, ("payload",), {}),
        (lambda anything: 1, ("payload",), {}),
        (lambda ctx, payload: 1, ("ctx", "payload"), {}),
        (lambda c, p: 1, ("ctx", "payload"), {}),
        (lambda payload, ctx: 1, ("payload", "ctx"), {}),
        (annotated, ("payload", "ctx"), {}),
        (lambda ctx, retries=3: 1, ("ctx",), {}),
        (lambda ctx, payload=None: 1, ("ctx", "payload"), {}),
        (lambda ctx, retries=3, payload=None: 1, ("ctx",), {"payload": "payload"}),
        (lambda *, ctx, payload: 1, (), {"ctx": "ctx", "payload": "payload"}),
        (wrapper, ("ctx", "payload"), {}),
        (Service().call, ("payload", "ctx"), {}),
        (Service.static, ("payload",), {}),
        (Service(), ("ctx",), {}),
        (functools.partial(lambda client, payload: 1, "client"), ("payload",), {}),
        (functools.partial(lambda payload, client: 1, client=1), ("payload",), {}),
    ],
)
def test_a_function_may_take_context_and_payload_or_less(function, positional, keywords):
    arguments = read_parameters("f", function)

    things = {"ctx": "ctx", "payload": "event"}
    assert arguments.positional == tuple(things[name] for name in positional)
    assert dict(arguments.keywords) == {name: things[thing] for name, thing in keywords.items()}
