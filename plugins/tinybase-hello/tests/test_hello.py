"""Decorated functions stay ordinary functions, so they are tested like any other."""

import logging
from uuid import uuid4

import pytest
from pydantic import ValidationError
from tinybase_hello import functions, hooks

from tinybase.extensions import RecordCreateEvent


@pytest.mark.parametrize(("name", "expected"), [("Ann", "Hello, Ann!"), (None, "Hello, world!")])
def test_hello_greets_by_name(name, expected):
    payload = functions.HelloInput(name=name) if name else functions.HelloInput()

    assert functions.hello(payload).message == expected


def test_a_name_that_is_too_long_is_refused():
    with pytest.raises(ValidationError):
        functions.HelloInput(name="x" * 101)


def test_a_greeting_is_logged(caplog):
    event = RecordCreateEvent("greetings", uuid4(), {"name": "Ann"}, owner_id=None)

    with caplog.at_level(logging.INFO):
        hooks.answer(event)

    assert caplog.messages == ["Ann says hello"]


def test_start_and_stop_are_logged(caplog):
    with caplog.at_level(logging.INFO):
        hooks.begin()
        hooks.end()

    assert caplog.messages == ["Hello!", "Goodbye!"]
