"""Nothing that a client sends becomes part of a statement."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tinybase.actors import SYSTEM
from tinybase.collections import expressions
from tinybase.collections.terms import SortKey, Term
from tinybase.errors import BadRequest, NotFound

PARTS = [
    "'",
    '"',
    "`",
    "--",
    "/*",
    "*/",
    ";",
    "\\",
    "%",
    "_",
    "]",
    "[",
    ")",
    "(",
    "?",
    ":a",
    "$1",
    "%s",
    "' OR 1=1 --",
    '" OR ""="',
    "1; DROP TABLE records",
    "$[#-1]",
    "$.**",
    "a.b",
    "x' UNION SELECT 1",
    "\u2018",
    "\u02bc",
    "\uff07",
    "randomblob(1e9)",
    "json_extract(data,'$')",
    "{{7*7}}",
    "\n",
    "\t",
    "rowid",
    "sqlite_master",
    "x" * 5_000,
    "\u202e",
    "%27",
    "NULL",
    "data->>'a'",
    "{0}",
    "__class__",
]
PAYLOADS = [*PARTS, *(f"title{part}" for part in PARTS), *(f"{part}title" for part in PARTS)]
TEXT_OPERATORS = ["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "startswith"]


@pytest.fixture(scope="module")
def posts(shared_room):
    shared_room.make(
        "posts",
        {"name": "title", "indexed": True},
        {"name": "tags", "type": "list"},
        {"name": "select", "type": "int"},
    )
    shared_room.fill("posts", *({"title": payload, "tags": [payload]} for payload in PAYLOADS))
    return shared_room


def statements_of(room: Any, **query: Any) -> tuple[list[str], Any]:
    with room.watched() as seen:
        page = room.records.list(SYSTEM, "posts", limit=5, **query)
    return [text for text, _ in seen], page


@pytest.mark.parametrize("operator", TEXT_OPERATORS)
def test_the_statement_is_the_same_for_every_value(posts, operator):
    texts = set()
    for payload in PAYLOADS:
        statements, page = statements_of(posts, filters=[Term("title", operator, (payload,))])
        texts |= set(statements)
        assert (page.total > 0) or operator in ("gt", "lt")
        if operator in ("eq", "in"):
            assert [record.data["title"] for record in page.records] == [payload]
    # For the collection, the page, and the total of what does not fit on it.
    assert len(texts) <= 3


def test_the_statement_is_the_same_for_every_list_item(posts):
    texts = set()
    for payload in [*PAYLOADS, "1", "true", "1.5", "null"]:
        statements, page = statements_of(posts, filters=[Term("tags", "contains", (payload,))])
        texts.add(tuple(statements))
        assert page.total == (payload in PAYLOADS)
    assert len(texts) == 1


def test_text_becomes_sql_in_few_modules_only():
    folder = Path(expressions.__file__).parent
    makers = re.compile(r"\b(text|literal_column|exec_driver_sql|DDL)\(")
    found = {file.name for file in folder.glob("*.py") if makers.search(file.read_text())}
    assert found == {
        "building.py",
        "copied.py",
        "expressions.py",
        "indexes.py",
        "on_postgresql.py",
        "on_sqlite.py",
    }


def test_a_field_called_like_a_word_of_sql_is_a_field(posts):
    _, page = statements_of(posts, filters={"select": {"null": True}}, sort="-select")
    assert page.total == len(PAYLOADS)


def refusal(room: Any, **query: Any) -> tuple[str, str]:
    with room.watched() as seen, pytest.raises(BadRequest) as caught:
        room.records.list(SYSTEM, "posts", **query)
    assert [text for text, _ in seen if "records" in text] == []
    return caught.value.code, caught.value.detail


@pytest.mark.parametrize("prefix", ["", "data."])
def test_a_name_that_is_no_field_is_refused_like_any_other(posts, prefix):
    filters = {refusal(posts, filters=[Term(prefix + name, "eq", ("x",))]) for name in PAYLOADS}
    sorts = {refusal(posts, sort=[SortKey(prefix + name)]) for name in PAYLOADS}
    assert filters == {refusal(posts, filters={"nope": "x"})}
    assert sorts == {refusal(posts, sort="nope")}


def test_an_operator_that_is_none_is_refused_like_any_other(posts):
    assert len({refusal(posts, filters=[Term("title", name, ("x",))]) for name in PAYLOADS}) == 1


@pytest.mark.parametrize("payload", PAYLOADS)
def test_a_collection_name_is_only_ever_looked_up(posts, payload):
    with pytest.raises(NotFound):
        posts.records.list(SYSTEM, payload)
    assert posts.records.list(SYSTEM, "posts").total == len(PAYLOADS)
