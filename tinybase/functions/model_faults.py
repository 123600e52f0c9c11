"""What is wrong with what a function got or returned, whichever kind of model says so."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from tinybase.functions.errors import OutputValidationError

Direction = Literal["input", "output"]

_MOST_FAULTS = 20


def does_not_fit(name: str, faults: str) -> OutputValidationError:
    """Return the error for a result that its model does not allow."""
    return OutputValidationError(f"The result does not fit the output model {name}: {faults}")


def listed(faults: Iterable[tuple[str, str]]) -> str:
    """Tell faults, each with the path to what it is about, in one line."""
    texts = [f"{path}: {message}" if path else message for path, message in faults]
    more = len(texts) - _MOST_FAULTS
    return "; ".join(texts[:_MOST_FAULTS]) + (f"; and {more} more" if more > 0 else "")
