"""What a function returns, as JSON."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import PurePath
from typing import Any

import orjson

from tinybase.db import format_time
from tinybase.functions.errors import OutputValidationError, ResultSizeError

_OPTIONS = orjson.OPT_NON_STR_KEYS | orjson.OPT_PASSTHROUGH_DATETIME


def plain_json(value: Any, max_bytes: int) -> Any:
    """Return a result as plain JSON values.

    Beside JSON's own types it takes dataclasses, pydantic models, times, UUIDs, enums,
    decimals, sets and paths.

    :raises OutputValidationError: for what JSON has no form for.
    :raises ResultSizeError: if the JSON text has more than ``max_bytes`` bytes.
    """
    try:
        text = orjson.dumps(value, _convert, _OPTIONS)
    except TypeError as error:
        raise OutputValidationError(
            f"The result is not JSON: {error}. Return texts, numbers, lists and dicts, "
            "or declare an output_model."
        ) from error
    if len(text) > max_bytes:
        raise ResultSizeError(
            f"The result of {len(text)} bytes exceeds maximum size of {max_bytes} bytes. "
            "Return less, or raise functions.max_result_bytes."
        )
    return orjson.loads(text)


def _convert(value: Any) -> Any:
    """Return something closer to JSON; called for what has no form of its own."""
    if isinstance(value, datetime):
        return format_time(value if value.tzinfo else value.replace(tzinfo=UTC))
    if isinstance(value, date | time):
        return value.isoformat()
    # Where pydantic is not loaded there is no model of it, and loading it takes its time.
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None and isinstance(value, pydantic.BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    if isinstance(value, Decimal | PurePath):
        return str(value)
    if isinstance(value, set | frozenset):
        return list(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError  # orjson says which type it is
