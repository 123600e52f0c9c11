"""The marshmallow fields of record data.

They differ from marshmallow's own in three things: they take JSON types for what they are
and coerce only where the contract says so (never a boolean to a number, never a number to
a text); every fault has a stable type; and what they load is the stored form, plain JSON
again, which they accept without change.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import re2
from marshmallow import Schema, ValidationError, fields, validate

from tinybase.collections.messages import Message, failure
from tinybase.collections.spec import FieldSpec, Kind

LARGEST_DEPTH = 64
"""How deep a JSON value may be nested."""

_INT64 = 2**63
_INTEGER = re.compile(r"[+-]?[0-9]{1,25}")
_NUMBER = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f]")
_LONGEST_EMAIL = 254

Check = Callable[[Any], None]
"""Looks at a loaded value and raises ``ValidationError`` for a fault."""


class DataField(fields.Field[Any]):
    """What all fields of record data have in common."""

    default_error_messages = {  # noqa: RUF012 (marshmallow's own attribute)
        "required": Message("Missing data for required field.", "required"),
        "null": Message("This may not be null.", "null"),
    }

    def make_error(self, key: str, **_: Any) -> ValidationError:
        """Return the exception for a fault; the message is not formatted, so keeps its type."""
        return ValidationError(self.error_messages[key])


class _Value(DataField):
    """A field made of two functions: one reads a value, ``validate`` checks what was read."""

    def __init__(self, read: Callable[[Any], Any], **options: Any) -> None:
        super().__init__(**options)
        self._read = read

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return self._read(value)


class _List(DataField):
    """A JSON array, of anything or of one kind of item."""

    def __init__(self, inner: DataField, **options: Any) -> None:
        super().__init__(**options)
        self._inner = inner

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> list[Any]:
        if not isinstance(value, list | tuple):
            raise failure("Not a valid list.", "invalid_type")
        loaded, faults = [], {}
        for index, item in enumerate(value):
            try:
                loaded.append(self._inner.deserialize(item))
            except ValidationError as error:
                faults[index] = error.messages
        if faults:
            raise ValidationError(faults)
        return loaded


class _Dict(DataField):
    """A JSON object with declared properties."""

    def __init__(self, schema: Schema, **options: Any) -> None:
        super().__init__(**options)
        self._schema = schema

    def _deserialize(self, value: Any, *_: Any, **__: Any) -> Any:
        return self._schema.load(value)


class DataSchema(Schema):
    """The base of compiled schemas; ``Meta.unknown`` decides about undeclared keys."""

    error_messages = {  # noqa: RUF012 (marshmallow's own attribute)
        "unknown": Message("Unknown field.", "unknown_field"),
        "type": Message("Not a valid object.", "invalid_type"),
    }


def schema_of(specs: Sequence[FieldSpec], unknown: str) -> DataSchema:
    """Compile declared fields.

    :param unknown: marshmallow's ``RAISE`` or ``EXCLUDE``, also for nested objects.
    """
    # The attribute names are ours: a field may be called "load" or "Meta" like any other.
    attributes: dict[str, Any] = {
        f"field_{index}": field_of(spec, unknown) for index, spec in enumerate(specs)
    }
    attributes["Meta"] = type("Meta", (), {"unknown": unknown, "register": False})
    compiled: DataSchema = type("RecordData", (DataSchema,), attributes)()
    return compiled


def field_of(spec: FieldSpec, unknown: str = "raise") -> DataField:
    """Compile one declared field."""
    options: dict[str, Any] = {
        "data_key": spec.name,
        "attribute": spec.name,
        "required": spec.must_be_given,
        "allow_none": not spec.required,
        "validate": list(_checks(spec)),
    }
    if not spec.must_be_given:
        options["load_default"] = lambda: deepcopy(spec.absent)
    if spec.kind is Kind.LIST:
        return _List(item_of(spec.items, unknown), **options)
    if spec.kind is Kind.DICT and spec.properties is not None:
        return _Dict(schema_of(spec.properties, unknown), **options)
    return _Value(_READERS[spec.kind, spec.strict], **options)


def steps_of(spec: FieldSpec, field: Any) -> tuple[Callable[[Any], Any], Sequence[Check]]:
    """Return what reads a value that is not null, and what checks it then.

    Together they are what a compiled field does, without its overhead.
    """
    if isinstance(field, _Value):
        return _READERS[spec.kind, spec.strict], _checks(spec)
    return field.deserialize, ()


def item_of(spec: FieldSpec | None, unknown: str = "raise") -> DataField:
    """Compile what a list holds; ``None`` is anything."""
    return field_of(spec, unknown) if spec else _Value(read_json, allow_none=True)


def _checks(spec: FieldSpec) -> list[Check]:
    checks = []
    if spec.min_length is not None or spec.max_length is not None:
        checks.append(_length(spec))
    if spec.minimum is not None or spec.maximum is not None:
        checks.append(_bounds(spec))
    if spec.values:
        checks.append(_choice(spec.values))
    if spec.pattern is not None:
        checks.append(_pattern(spec.pattern))
    return checks


def _length(spec: FieldSpec) -> Check:
    units = {Kind.LIST: "items", Kind.DICT: "keys"}.get(spec.kind, "characters")
    least, most = spec.min_length, spec.max_length

    def check(value: Any) -> None:
        if least is not None and len(value) < least:
            raise failure(f"Must have at least {least} {units}.", "too_short")
        if most is not None and len(value) > most:
            raise failure(f"Must have at most {most} {units}.", "too_long")

    return check


def _bounds(spec: FieldSpec) -> Check:
    least, most = spec.minimum, spec.maximum

    def check(value: Any) -> None:
        # Times and dates are compared in their stored form, which sorts by time.
        if least is not None and value < least:
            raise failure(f"Must be at least {least}.", "too_small")
        if most is not None and value > most:
            raise failure(f"Must be at most {most}.", "too_large")

    return check


def _choice(values: tuple[str, ...]) -> Check:
    allowed = frozenset(values)

    def check(value: Any) -> None:
        if value not in allowed:
            raise failure("Not one of the allowed values.", "not_allowed")

    return check


def compile_pattern(pattern: str) -> Any:
    """Compile a pattern of the linear-time dialect.

    :raises ValueError: when it is not one; the message says what is wrong with it.
    """
    options = re2.Options()
    options.log_errors = False
    try:
        return re2.compile(pattern, options)
    except re2.error as error:
        reason = error.args[0] if error.args else "it cannot be compiled"
        raise ValueError(reason.decode() if isinstance(reason, bytes) else reason) from error


def _pattern(pattern: str) -> Check:
    compiled = compile_pattern(pattern)

    def check(value: Any) -> None:
        if not compiled.search(value):
            raise failure("Does not match the pattern of the field.", "pattern")

    return check


def read_text(value: Any) -> str:
    """Read a text that every database can store."""
    if not isinstance(value, str):
        raise failure("Not a valid string.", "invalid_type")
    if "\0" in value:
        raise failure("NUL characters are not allowed.", "nul_character")
    if not value.isascii() and any("\ud800" <= char <= "\udfff" for char in value):
        raise failure("Half of a surrogate pair is not a character.", "lone_surrogate")
    return value


def read_integer(value: Any) -> int:
    """Read a whole number of 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise failure("Not a valid integer.", "invalid_type")
    if not -_INT64 <= value < _INT64:
        raise failure("The number does not fit into 64 bits.", "integer_out_of_range")
    return value


def coerce_integer(value: Any) -> int:
    """Read a whole number also from ``3.0`` and ``"3"``."""
    if isinstance(value, float) and value.is_integer():
        return read_integer(int(value))
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return read_integer(int(value))
    return read_integer(value)


def read_number(value: Any) -> float:
    """Read a finite number."""
    if not isinstance(value, float):
        raise failure("Not a valid number.", "invalid_type")
    if not math.isfinite(value):
        raise failure("Not a finite number.", "invalid_type")
    return value


def coerce_number(value: Any) -> float:
    """Read a finite number also from ``3`` and ``"3.5"``."""
    if isinstance(value, int) and not isinstance(value, bool):
        return float(read_integer(value))
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return read_number(float(value))
    return read_number(value)


def read_boolean(value: Any) -> bool:
    """Read ``true`` or ``false``."""
    if not isinstance(value, bool):
        raise failure("Not a valid boolean.", "invalid_type")
    return value


def coerce_boolean(value: Any) -> bool:
    """Read a truth value also from ``0``, ``1``, ``"true"`` and ``"false"``."""
    if isinstance(value, int) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return read_boolean(value)


def read_datetime(value: Any) -> str:
    """Read an ISO 8601 time; without an offset it is UTC."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        # A time at the edge of the calendar may have no place in UTC.
        moment = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError) as error:
        raise failure("Not a valid ISO 8601 time.", "invalid_time") from error
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


def read_date(value: Any) -> str:
    """Read a date written ``YYYY-MM-DD``."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str) and _DATE.fullmatch(value):
        try:
            return date.fromisoformat(value).isoformat()
        except ValueError:
            pass
    raise failure("Not a valid date; write YYYY-MM-DD.", "invalid_date")


def read_email(value: Any) -> str:
    """Read an e-mail address; nothing about it is changed."""
    text = read_text(value)
    if len(text) > _LONGEST_EMAIL:
        raise failure(f"Must have at most {_LONGEST_EMAIL} characters.", "too_long")
    try:
        return _EMAIL(text)
    except ValidationError as error:
        raise failure("Not a valid email address.", "invalid_email") from error


_EMAIL = validate.Email()


def read_url(value: Any) -> str:
    """Read an absolute address of the web."""
    text = read_text(value)
    try:
        parts = urlsplit(text)
        is_good = parts.scheme in ("http", "https") and bool(parts.hostname)
        # Reading the port checks it.
        is_good = is_good and not _UNPRINTABLE.search(text) and parts.port != 0
    except ValueError:
        is_good = False
    if not is_good:
        raise failure("Not a valid URL; it begins with http:// or https://.", "invalid_url")
    return text


def read_uuid(value: Any) -> str:
    """Read a UUID in its usual spelling; it is stored in lower case."""
    if isinstance(value, UUID):
        return str(value)
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise failure("Not a valid UUID.", "invalid_uuid")
    return value.lower()


def read_json(value: Any, depth: int = 0) -> Any:
    """Read any JSON value."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return read_text(value)
    if isinstance(value, int):
        return read_integer(value)
    if isinstance(value, float):
        return read_number(value)
    if depth == LARGEST_DEPTH:
        raise failure(f"Nested more than {LARGEST_DEPTH} levels deep.", "too_deep")
    if isinstance(value, list | tuple):
        return [read_json(item, depth + 1) for item in value]
    if isinstance(value, Mapping):
        return {read_text(key): read_json(item, depth + 1) for key, item in value.items()}
    raise failure("Not a JSON value.", "invalid_type")


def read_object(value: Any) -> Any:
    """Read a JSON object with any content."""
    if not isinstance(value, Mapping):
        raise failure("Not a valid object.", "invalid_type")
    return read_json(value)


_STRICT: dict[Kind, Callable[[Any], Any]] = {
    Kind.STRING: read_text,
    Kind.ENUM: read_text,
    Kind.INTEGER: read_integer,
    Kind.NUMBER: read_number,
    Kind.BOOLEAN: read_boolean,
    Kind.DATETIME: read_datetime,
    Kind.DATE: read_date,
    Kind.EMAIL: read_email,
    Kind.URL: read_url,
    Kind.UUID: read_uuid,
    Kind.DICT: read_object,
    Kind.JSON: read_json,
}
_LENIENT = {
    **_STRICT,
    Kind.INTEGER: coerce_integer,
    Kind.NUMBER: coerce_number,
    Kind.BOOLEAN: coerce_boolean,
}
_READERS = {
    (kind, strict): read
    for strict, readers in ((True, _STRICT), (False, _LENIENT))
    for kind, read in readers.items()
}
