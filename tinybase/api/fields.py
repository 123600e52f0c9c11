"""The fields of schemas, strict about JSON types, with a stable type for every fault.

They are marshmallow's, so everything that marshmallow and apispec can do with a field
works. A JSON number is never taken for a text or a truth value, nor the other way round.
Values of a query string are texts by nature: in a :class:`~tinybase.api.schemas.Query`
the same fields read ``7`` and ``yes``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from marshmallow import ValidationError, fields, validate

from tinybase.api.messages import ErrorMessages, Message, messages
from tinybase.db import format_time

Nested = fields.Nested
Constant = fields.Constant

_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})
_DIGITS = re.compile(r"[+-]?[0-9]{1,19}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_INT64 = 2**63


class _Typed:
    """What is the same for every field."""

    default_error_messages: ErrorMessages = messages(
        required=("Missing data for required field.", "required"),
        null=("This may not be null.", "null"),
    )

    @property
    def in_query(self) -> bool:
        """Say whether the value comes from a query string and so is a text."""
        return bool(getattr(self.root, "is_query", False))  # type: ignore[attr-defined]


class Length(validate.Length):
    """Bounds of a length; says ``too_short`` or ``too_long``."""

    def __call__(self, value: Any) -> Any:
        """Return the value, or raise."""
        size = len(value)
        what = "characters" if isinstance(value, str) else "items"
        if self.min is not None and size < self.min:
            raise ValidationError(Message(f"Must have at least {self.min} {what}.", "too_short"))
        if self.max is not None and size > self.max:
            raise ValidationError(Message(f"Must have at most {self.max} {what}.", "too_long"))
        return value


class Range(validate.Range):
    """Bounds of a number; says ``too_small`` or ``too_large``."""

    def __call__(self, value: Any) -> Any:
        """Return the value, or raise."""
        if self.min is not None and value < self.min:
            raise ValidationError(Message(f"Must be at least {self.min}.", "too_small"))
        if self.max is not None and value > self.max:
            raise ValidationError(Message(f"Must be at most {self.max}.", "too_large"))
        return value


def _validators(given: Any, *own: Callable[[Any], Any] | None) -> list[Callable[[Any], Any]]:
    others = list(given) if isinstance(given, Sequence) else [given]
    return [validator for validator in (*own, *others) if validator is not None]


class String(_Typed, fields.String):
    """A text. ``pattern`` must match the whole of it."""

    default_error_messages = messages(
        invalid=("Not a valid string.", "invalid_type"),
        invalid_utf8=("Not a valid string.", "invalid_type"),
    )

    def __init__(
        self,
        *,
        min_length: int | None = None,
        max_length: int | None = None,
        pattern: str | None = None,
        choices: Collection[str] = (),
        **options: Any,
    ) -> None:
        length = None
        if min_length is not None or max_length is not None:
            length = Length(min_length, max_length)
        options["validate"] = _validators(
            options.get("validate"),
            length,
            Pattern(pattern) if pattern else None,
            _choice(choices) if choices else None,
        )
        super().__init__(**options)


class Pattern(validate.Regexp):
    """A regular expression for the whole of a text."""

    def __init__(self, pattern: str) -> None:
        # Written with anchors, because that is how other dialects say it in a document.
        super().__init__(f"^{pattern}$")
        self._message = Message(f"Must match {pattern}.", "pattern")

    def __call__(self, value: Any) -> Any:
        """Return the value, or raise; unlike ``$`` a line feed at the end does not pass."""
        if not self.regex.fullmatch(value):
            raise ValidationError(self._message)
        return value


def _choice(choices: Collection[str]) -> validate.OneOf:
    message = Message(f"Must be one of {_braced(', '.join(choices))}.", "not_allowed")
    return validate.OneOf(tuple(choices), error=message)


def _braced(text: str) -> str:
    """Protect a text from the formatting that messages go through."""
    return text.replace("{", "{{").replace("}", "}}")


class Integer(_Typed, fields.Integer):
    """A whole number of 64 bits."""

    default_error_messages = messages(
        invalid=("Not a valid integer.", "invalid_type"),
        too_large=("The number is too large.", "too_large"),
    )

    def __init__(
        self, *, minimum: int | None = None, maximum: int | None = None, **options: Any
    ) -> None:
        options["validate"] = _validators(options.get("validate"), _range(minimum, maximum))
        super().__init__(**options)

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> int:
        if self.in_query and isinstance(value, str) and _DIGITS.fullmatch(value):
            value = int(value)
        elif isinstance(value, float) and value.is_integer():
            value = int(value)  # JSON knows one kind of number: 3.0 is an integer as well
        if not isinstance(value, int) or isinstance(value, bool):
            raise self.make_error("invalid")
        if not -_INT64 <= value < _INT64:
            raise self.make_error("too_large")
        return value


class Number(_Typed, fields.Float):
    """A finite number."""

    default_error_messages = messages(invalid=("Not a valid number.", "invalid_type"))

    def __init__(
        self, *, minimum: float | None = None, maximum: float | None = None, **options: Any
    ) -> None:
        options["validate"] = _validators(options.get("validate"), _range(minimum, maximum))
        super().__init__(**options)

    def _deserialize(self, value: Any, attr: Any, data: Any, **options: Any) -> float:
        if isinstance(value, bool) or (isinstance(value, str) and not self.in_query):
            raise self.make_error("invalid")
        return float(super()._deserialize(value, attr, data, **options))


def _range(minimum: float | None, maximum: float | None) -> Range | None:
    return None if minimum is None and maximum is None else Range(minimum, maximum)


class Boolean(_Typed, fields.Boolean):
    """``true`` or ``false``; in a query also ``1/0``, ``yes/no`` and ``on/off``, in any case."""

    default_error_messages = messages(invalid=("Not a valid boolean.", "invalid_type"))

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> bool:
        if isinstance(value, bool):
            return value
        text = value.lower() if self.in_query and isinstance(value, str) else None
        if text in _TRUE or text in _FALSE:
            return text in _TRUE
        raise self.make_error("invalid")


class Id(_Typed, fields.UUID):
    """A UUID in its usual spelling, in either case."""

    default_error_messages = messages(invalid_uuid=("Not a valid UUID.", "invalid_uuid"))

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> UUID:
        parsed = parse_id(value)
        if parsed is None:
            raise self.make_error("invalid_uuid")
        return parsed


def parse_id(value: object) -> UUID | None:
    """Read a UUID; ``None`` for anything else."""
    if isinstance(value, UUID):
        return value
    return UUID(value) if isinstance(value, str) and _UUID.fullmatch(value) else None


class Time(_Typed, fields.DateTime):
    """A point in time: ISO 8601 in, UTC with six digits out."""

    default_error_messages = messages(invalid=("Not a valid ISO 8601 time.", "invalid_time"))

    def _serialize(self, value: Any, *_: Any, **__: Any) -> str | None:
        return format_time(value) if isinstance(value, datetime) else value

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> datetime:
        try:
            parsed = datetime.fromisoformat(value)
            # A time at the edge of the calendar may have no place in UTC.
            return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).astimezone(UTC)
        except (TypeError, ValueError, OverflowError) as error:
            raise self.make_error("invalid", obj_type="datetime") from error


class List(_Typed, fields.List[Any]):
    """A list of one kind of thing."""

    default_error_messages = messages(invalid=("Not a valid list.", "invalid_type"))

    def __init__(
        self,
        inner: Any,
        *,
        min_length: int | None = None,
        max_length: int | None = None,
        **options: Any,
    ) -> None:
        length = None
        if min_length is not None or max_length is not None:
            length = Length(min_length, max_length)
        options["validate"] = _validators(options.get("validate"), length)
        super().__init__(inner, **options)


class Object(_Typed, fields.Dict):
    """A JSON object with any content."""

    default_error_messages = messages(invalid=("Not a valid object.", "invalid_type"))


class Json(_Typed, fields.Raw):
    """Any JSON value."""
