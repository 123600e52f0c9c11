"""What the table takes in, and whom it lets call."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import pytest
from pydantic import BaseModel

from tinybase.actors import ANONYMOUS, SYSTEM, Actor, ActorKind
from tinybase.errors import Conflict, Forbidden, NotFound, Unauthenticated
from tinybase.functions.table import FunctionTable
from tinybase_hookspecs import FunctionDeclaration

USER = Actor(ActorKind.USER)
ADMIN = Actor(ActorKind.ADMIN)
TOKEN = Actor(ActorKind.APPLICATION, scopes=frozenset({"read"}))
ADMIN_TOKEN = Actor(ActorKind.APPLICATION, scopes=frozenset({"admin"}))


class Numbers(BaseModel):
    a: int


@dataclass
class Sum:
    sum: int


def add(ctx, payload: Numbers) -> Sum:
    """Add numbers.

    All of them.
    """
    return Sum(payload.a)


async def later(payload: Numbers) -> Sum: ...


@pytest.fixture
def table() -> FunctionTable:
    return FunctionTable()


def declare(name="add", handler=add, **options) -> FunctionDeclaration:
    return FunctionDeclaration(name, handler, **options)


def test_models_are_inferred_from_annotations(table):
    table.add("math", declare())

    function = table.get("add")
    assert function.input_schema["properties"].keys() == {"a"}
    assert function.output_schema["properties"].keys() == {"sum"}
    assert (function.has_input_model, function.has_output_model) == (True, True)


def test_a_given_model_counts_more_than_the_annotation(table):
    table.add("math", declare(input_model=Sum))

    assert table.get("add").input_schema["properties"].keys() == {"sum"}


def test_annotations_that_cannot_be_evaluated_are_left_alone(table):
    def odd(payload: Unknown) -> Missing: ...  # noqa: F821

    table.add("math", declare("odd", odd))

    assert table.get("odd").input_schema is None


@pytest.mark.parametrize(
    "handler", [functools.partial(add, None), later, functools.wraps(add)(lambda *a: None)]
)
def test_models_are_inferred_through_partials_wrappers_and_async(table, handler):
    table.add("math", declare(handler=handler))

    assert table.get("add").has_input_model
    assert table.get("add").has_output_model


def test_a_function_knows_where_it_comes_from(table):
    table.add("math", declare(tags=("a",)))
    table.add("project:tinybase_functions.x", declare("mine", later))

    function, mine = table.get("add"), table.get("mine")
    assert (function.description, function.tags) == ("Add numbers.", ("a",))
    assert (function.module, function.file_path) == (__name__, __file__)
    assert (function.extension, mine.extension) == ("math", None)
    assert (function.is_async, mine.is_async) == (False, True)


def test_functions_are_listed_by_name(table):
    for name in ("b", "c", "a"):
        table.add("math", declare(name))

    assert [function.name for function in table] == ["a", "b", "c"]
    assert table.names("math") == ["a", "b", "c"]
    assert table.names("other") == []


def test_a_name_that_another_owner_has_is_refused_naming_both(table):
    table.add("math", declare())

    with pytest.raises(Conflict, match=r"extension more.*already offered by the extension math"):
        table.add("more", declare())
    with pytest.raises(Conflict, match=r"'add' of this project.*Rename one of them"):
        table.add("project:x", declare())

    assert table.get("add").owner == "math"


def test_a_name_that_is_used_twice_by_one_owner_is_refused_naming_both_places(table):
    table.add("math", declare())

    with pytest.raises(Conflict, match=r"twice by the extension math.*:add and .*:later"):
        table.add("math", declare(handler=later))


def test_discarding_an_owner_leaves_the_others(table):
    table.add("math", declare("a"))
    table.add("more", declare("b"))

    table.discard("math")

    assert [function.name for function in table] == ["b"]
    table.add("other", declare("a"))


@pytest.mark.parametrize(
    ("declaration", "message"),
    [
        (declare("a b"), "Choose another one"),
        (declare(""), "Choose another one"),
        (declare(auth="root"), 'auth is "public", "auth" or "admin"'),
        (declare(tags=["a"]), "tags is a list of texts"),
        (declare(handler=3), "needs a function"),
        (declare(handler=lambda a, b, c: 1), "requires c"),
        (declare(input_model=dict), "input_model is a pydantic model"),
        (declare(output_model=3), "output_model is a pydantic model"),
        ({"name": "add"}, "Return a list of them"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused_with_the_remedy(table, declaration, message):
    with pytest.raises(Conflict, match=message) as caught:
        table.add("math", declaration)

    assert caught.value.code == "extension_load_failed"
    assert list(table) == []


def test_an_unknown_function_is_not_found(table):
    with pytest.raises(NotFound, match="Function 'add' not found"):
        table.get("add")


LEVELS = {
    "public": [ANONYMOUS, USER, TOKEN, ADMIN_TOKEN, ADMIN, SYSTEM],
    "auth": [USER, ADMIN_TOKEN, ADMIN, SYSTEM],
    "admin": [ADMIN_TOKEN, ADMIN, SYSTEM],
}


@pytest.mark.parametrize("actor", LEVELS["public"], ids=lambda actor: actor.kind.value)
@pytest.mark.parametrize("auth", LEVELS)
def test_the_level_decides_who_may_call(table, auth, actor):
    table.add("math", declare(auth=auth))

    assert table.get("add").admits(actor) == (actor in LEVELS[auth])


@pytest.mark.parametrize(
    ("actor", "error", "code"),
    [
        (ANONYMOUS, Unauthenticated, "not_authenticated"),
        (USER, Forbidden, "admin_required"),
        (TOKEN, Forbidden, "scope_required"),
    ],
)
def test_a_refused_caller_is_told_why(table, actor, error, code):
    table.add("math", declare(auth="admin"))

    with pytest.raises(error) as caught:
        table.get("add").require(actor)

    assert caught.value.code == code


def test_a_model_without_json_schema_works_without_one(table):
    class Opaque(BaseModel, arbitrary_types_allowed=True):
        thing: FunctionTable

    table.add("math", declare(input_model=Opaque))

    assert table.get("add").input_schema is None
