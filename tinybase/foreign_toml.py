"""TOML that strangers wrote, perhaps in order to do harm."""

from __future__ import annotations

import tomllib
from typing import Any

_MAX_DOTS = 500
"""How many a line may have. The parser takes the square of that, in time and in memory."""


def loads(text: str) -> dict[str, Any]:
    """Read a document.

    :raises tomllib.TOMLDecodeError: for whatever keeps it from being read.
    """
    if any(line.count(".") > _MAX_DOTS for line in text.split("\n")):
        raise tomllib.TOMLDecodeError("a line has far too many dots")
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        raise
    except RecursionError:
        raise tomllib.TOMLDecodeError("it is nested too deeply") from None
    except ValueError as error:  # a number that Python has no room for
        raise tomllib.TOMLDecodeError(str(error)) from None
