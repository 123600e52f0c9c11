"""Messages of schemas that know the stable name of their fault."""

from __future__ import annotations

from typing import Any

ErrorMessages = dict[str, str | list[Any] | dict[Any, Any]]


class Message(str):
    """A sentence for a person, with the ``type`` that clients may rely on.

    It survives marshmallow's formatting, so the type arrives where faults are collected.
    """

    __slots__ = ("type",)
    type: str

    def __new__(cls, text: str, type_: str) -> Message:
        """Make one; ``type_`` is such as ``too_long``."""
        message = super().__new__(cls, text)
        message.type = type_
        return message

    def format(self, *args: Any, **kwargs: Any) -> Message:
        """Return the formatted message with the same type."""
        return Message(super().format(*args, **kwargs), self.type)


def messages(**texts: tuple[str, str]) -> ErrorMessages:
    """Return a field's messages: its own names of faults, each with a sentence and a type."""
    return {name: Message(text, type_) for name, (text, type_) in texts.items()}
