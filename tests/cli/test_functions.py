from __future__ import annotations

from pathlib import Path

import pytest

from .conftest import Run

FAILING = """\
from tinybase.functions import register


@register(name="fail", auth="admin")
def fail(ctx, payload):
    raise ValueError("no luck")
"""


def test_a_new_function_can_be_called_at_once(run: Run, instance: Path) -> None:
    said = run("functions", "new", "greet", "-d", "Greet somebody", "--auth", "public").err
    assert str(instance / "functions" / "greet.py") in said

    assert run("functions", "list", "--json").json == [
        {
            "name": "greet",
            "description": "Greet somebody",
            "auth": "public",
            "tags": [],
            "extension": None,
        }
    ]
    assert "Greet somebody" in run("functions", "list").out
    assert run("functions", "call", "greet").json == {"message": "Hello, World!"}
    assert run("functions", "call", "greet", '{"name": "Ada"}').json == {"message": "Hello, Ada!"}
    assert run("functions", "call", "greet", "-", stdin='{"name": "Eve"}').json == {
        "message": "Hello, Eve!"
    }


def test_new_leaves_a_file_that_exists_alone(run: Run, instance: Path) -> None:
    run("functions", "new", "greet")

    assert "exists already" in run("functions", "new", "greet", code=1).err


@pytest.mark.parametrize("name", ["two words", "1st", "../up"])
def test_new_refuses_a_bad_name(run: Run, instance: Path, name: str) -> None:
    assert run("functions", "new", name, code=1).err.count("\n") == 1


def test_the_outcome_of_a_call_is_shown_as_over_http(run: Run, instance: Path) -> None:
    run("functions", "new", "greet")

    outcome = run("functions", "call", "greet", "--json").json

    assert list(outcome) == [
        "call_id",
        "status",
        "result",
        "error_message",
        "error_type",
        "duration_ms",
    ]
    assert outcome["status"] == "succeeded"


def test_a_function_that_fails_is_1_and_named(run: Run, instance: Path) -> None:
    (instance / "functions" / "fail.py").write_text(FAILING)

    result = run("functions", "call", "fail", "--json", code=1)

    assert result.json["error_type"] == "ValueError"
    assert "fail failed: ValueError: no luck" in result.err


def test_an_unknown_function_is_1(run: Run, instance: Path) -> None:
    assert "nope" in run("functions", "call", "nope", code=1).err
