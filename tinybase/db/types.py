"""Column types that read the same on every engine."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import JSON, DateTime, Dialect, String, Uuid
from sqlalchemy.types import TypeDecorator, TypeEngine

Json = JSON()
"""JSON as it was written: ``json`` on PostgreSQL, text on SQLite.

Not ``jsonb``, which sorts the keys of objects and spells ``1e300`` with 301 digits, so that
a number comes back as an integer.
"""

OptionalJson = JSON(none_as_null=True)
"""The same for a column that may be empty."""


def utcnow() -> datetime:
    """Return the current time, with its zone."""
    return datetime.now(UTC)


def format_time(value: datetime) -> str:
    """Write a time as answers do: UTC, six digits, ``Z``."""
    if value.tzinfo is UTC and value.microsecond:
        # Without microseconds it writes no digits for them.
        return orjson.dumps(value, option=orjson.OPT_UTC_Z).decode()[1:-1]
    # Not strftime: it writes years before 1000 with fewer digits, which would sort wrongly.
    return value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"


class Guid(TypeDecorator[UUID]):
    """A UUID: native on PostgreSQL, its canonical text on SQLite.

    Text rather than sixteen bytes, so that rows can be sent to a client as they are.
    """

    impl = String(36)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(Uuid())
        return dialect.type_descriptor(String(36))

    def process_bind_param(self, value: UUID | str | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        uuid = value if isinstance(value, UUID) else UUID(value)
        return uuid if dialect.name == "postgresql" else str(uuid)

    def process_result_value(self, value: Any, dialect: Dialect) -> UUID | None:  # noqa: ARG002
        return value if value is None or isinstance(value, UUID) else UUID(value)


class Instant(TypeDecorator[datetime]):
    """A point in time, always with its zone.

    On SQLite it is the text that answers carry, which sorts by time.
    """

    impl = String(27)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "postgresql":
            return dialect.type_descriptor(DateTime(timezone=True))
        return dialect.type_descriptor(String(27))

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> Any:
        if value is None or dialect.name == "postgresql":
            return value
        return format_time(value)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:  # noqa: ARG002
        if isinstance(value, str):
            return datetime.fromisoformat(value)
        return value.astimezone(UTC) if isinstance(value, datetime) else None
