"""Messages of faults in record data, with the stable type of the fault."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from marshmallow import ValidationError

from tinybase.errors import Fault

Location = tuple[str | int, ...]


class Message(str):
    """A sentence for a person that also carries the ``type`` of the fault."""

    __slots__ = ("type",)
    type: str

    def __new__(cls, text: str, type_: str) -> Message:
        """Make one; ``type_`` is such as ``too_long``."""
        message = super().__new__(cls, text)
        message.type = type_
        return message


def failure(text: str, type_: str) -> ValidationError:
    """Return the exception that reports one fault of one value."""
    return ValidationError(Message(text, type_))


def reason_of(error: ValidationError) -> str:
    """Return the first message of an exception that is about one value."""
    messages = error.messages
    return str(messages[0]) if isinstance(messages, list) else str(messages)


def faults_of(messages: Any, loc: Location) -> Iterator[Fault]:
    """Turn marshmallow's nested messages into faults, below ``loc``."""
    if isinstance(messages, Mapping):
        for key, value in messages.items():
            yield from faults_of(value, loc if key == "_schema" else (*loc, key))
    elif isinstance(messages, list):
        for message in messages:
            yield from faults_of(message, loc)
    else:
        yield Fault(loc, str(messages), getattr(messages, "type", "invalid"))
