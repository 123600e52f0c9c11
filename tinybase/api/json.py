"""Reading JSON from strangers.

Stricter than the standard library: everything that could mean two things, or that cannot
be stored and returned as it came, is refused before anybody else looks at it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any, NoReturn

import orjson

from tinybase.errors import BadRequest, Fault, Invalid

MOST_DIGITS = 4_300
MOST_KEYS = 1_000
_SMALLEST, _LARGEST = -(2**63), 2**63 - 1
_MOST_FAULTS = 20
_LONGEST_PLAIN = 4_000
"""Too short for an object of more than ``MOST_KEYS`` keys, or a number of so many digits."""

Location = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class JsonLimits:
    """How large the parts of a document may be; ``string_bytes`` 0 is no limit."""

    depth: int
    string_bytes: int


def parse_object(raw: bytes, limits: JsonLimits) -> dict[str, Any]:
    """Read the JSON object in a request body.

    :raises BadRequest: ``invalid_json`` for what is no JSON, or not unambiguous.
    :raises Invalid: for JSON that is no object, or holds what cannot be stored.
    """
    plain = _parse_plain(raw, limits)
    if plain is not None:
        return plain
    if not raw.strip():
        raise Invalid([Fault(("body",), "A JSON object is required.", "required")])
    value = _parse(raw)
    inspection = _Inspection(limits)
    inspection.visit(value, ("body",))
    if inspection.faults:
        raise Invalid(inspection.faults)
    if not isinstance(value, dict):
        raise Invalid([Fault(("body",), "Must be a JSON object.", "invalid_type")])
    return value


def text_fault(text: str) -> str | None:
    """Return the type of the fault that keeps a text from being stored, if it has one."""
    if "\0" in text:
        return "nul_character"
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        return "lone_surrogate"
    return None


TEXT_FAULTS = {
    "nul_character": "NUL characters are not allowed.",
    "lone_surrogate": "Half of a surrogate pair is not a character.",
}


def _parse_plain(raw: bytes, limits: JsonLimits) -> dict[str, Any] | None:
    """Read a small object with nothing unusual in it; ``None`` is that the rest is to decide.

    Without a backslash no text has a NUL character or half of a surrogate pair in it. And
    where there are as many colons as keys and texts account for, no key was there twice.
    """
    size = len(raw)
    if size > _LONGEST_PLAIN or b"\\" in raw or (0 < limits.string_bytes < size):
        return None
    if raw.count(b"{") + raw.count(b"[") > limits.depth:
        return None
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict) or _colons_in(value) != raw.count(b":"):
        return None
    return value


def _colons_in(value: Any) -> float:
    """Return how many colons a value has as JSON; NaN if it has an unusual number in it."""
    colons, inside = 0, [value]
    for each in inside:  # which grows as it goes
        if isinstance(each, str):
            colons += each.count(":")
        elif isinstance(each, dict):
            colons += len(each)
            inside += each
            inside += each.values()
        elif isinstance(each, list):
            inside += each
        elif each is not None and not _SMALLEST < each < _LARGEST:
            # An integer that does not fit has become a float, perhaps the very smallest.
            return math.nan
    return colons


def _parse(raw: bytes) -> Any:
    try:
        return _DECODER.decode(raw.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise _invalid("it is not UTF-8") from error
    except json.JSONDecodeError as error:
        raise _invalid(f"{error.msg} at line {error.lineno}, column {error.colno}") from error
    except ValueError as error:
        # Python itself refuses long numbers, and an operator may have lowered its limit.
        raise _invalid("a number has too many digits") from error
    except RecursionError as error:
        raise _invalid("it is nested too deeply") from error


def _invalid(reason: str) -> BadRequest:
    return BadRequest(f"The body is not valid JSON: {reason}.", code="invalid_json")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _invalid("an object has the same key twice")
    return value


def _integer(digits: str) -> int:
    _count_digits(digits)
    return int(digits)


def _float(digits: str) -> float:
    _count_digits(digits)
    value = float(digits)
    if math.isinf(value):
        raise _invalid("a number is too large")
    return value


def _count_digits(digits: str) -> None:
    if len(digits) > MOST_DIGITS and sum(map(str.isdigit, digits)) > MOST_DIGITS:
        raise _invalid(f"a number has more than {MOST_DIGITS} digits")


def _constant(name: str) -> NoReturn:
    raise _invalid(f"{name} is not a JSON number")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant
)


class _Inspection:
    """One walk over a document that was read; ``faults`` are the first that it met.

    Nesting stops it at once: that is another answer, and the stronger one.
    """

    def __init__(self, limits: JsonLimits) -> None:
        self.faults: list[Fault] = []
        self._limits = limits

    def visit(self, value: Any, loc: Location, depth: int = 0) -> None:
        """Look at a value and everything inside it."""
        if isinstance(value, str):
            self._visit_text(value, loc)
        elif isinstance(value, dict):
            self._enter(depth)
            if len(value) > MOST_KEYS:
                self._add(loc, f"More than {MOST_KEYS} keys.", "too_many_keys")
            for key, item in value.items():
                # The place is the object: such a key cannot be written in an answer.
                self._visit_text(key, loc)
                self.visit(item, (*loc, key), depth + 1)
        elif isinstance(value, list):
            self._enter(depth)
            for index, item in enumerate(value):
                self.visit(item, (*loc, index), depth + 1)
        elif isinstance(value, int) and not _SMALLEST <= value <= _LARGEST:
            self._add(loc, "The number does not fit into 64 bits.", "integer_out_of_range")

    def _enter(self, depth: int) -> None:
        if depth == self._limits.depth:
            raise _invalid(f"it is nested more than {depth} levels deep")

    def _visit_text(self, text: str, loc: Location) -> None:
        fault = text_fault(text)
        if fault:
            self._add(loc, TEXT_FAULTS[fault], fault)
            return
        most = self._limits.string_bytes
        # A character has at most four bytes, so most texts need not be counted.
        if most and len(text) * 4 > most and len(text.encode()) > most:
            self._add(loc, f"A text may have at most {most} bytes.", "string_too_long")

    def _add(self, loc: Location, msg: str, type_: str) -> None:
        if len(self.faults) < _MOST_FAULTS:
            self.faults.append(Fault(loc, msg, type_))
