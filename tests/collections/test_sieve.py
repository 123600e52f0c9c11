"""Looking for a text in stored JSON before its fields are looked at: nothing is missed."""

from __future__ import annotations

import json
import random
import sqlite3
import string
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any

import orjson
import pytest

from tinybase.collections.query_values import part_of

WRITERS: dict[str, Callable[[Any], str]] = {
    "ours": lambda data: orjson.dumps(data).decode(),
    "python": json.dumps,
    "as it is": partial(json.dumps, ensure_ascii=False),
    "indented": partial(json.dumps, indent=2),
    "for web pages": lambda data: (
        json.dumps(data).replace("/", "\\/").replace("<", "\\u003c").replace("'", "\\u0027")
    ),
}
SIGNS = string.printable + "äß€😀\x7f\x00"


def texts() -> list[str]:
    choose = random.Random(11)
    some = ["".join(choose.choices(SIGNS, k=choose.randrange(1, 30))) for _ in range(500)]
    plain = ["".join(choose.choices(string.ascii_letters + "-_ ", k=9)) for _ in range(500)]
    return ["", "a", *string.printable, "open", "in_progress", "x" * 300, *some, *plain]


@pytest.mark.parametrize("writer", WRITERS)
def test_all_json_in_which_a_text_is_has_its_part(writer):
    write = WRITERS[writer]
    with closing(sqlite3.connect(":memory:")) as database:
        for text in texts():
            stored = write({"a": 1, "field": text, "b": "end"})
            assert part_of(text) in stored
            fits = database.execute("SELECT ? GLOB ?", (stored, f"*{part_of(text)}*")).fetchone()
            assert fits == (1,), (text, stored)


def test_other_json_seldom_has_it():
    others = orjson.dumps({"state": "closed", "in_progress": "open to all", "n": "opened"}).decode()
    for text in ("open", "on hold", "c7", "Zebra", ""):
        assert part_of(text) not in others
