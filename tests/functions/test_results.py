"""What a function may return without a model."""

from __future__ import annotations

import enum
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType
from uuid import UUID

import pytest
from pydantic import BaseModel

from tinybase.functions.errors import OutputValidationError, ResultSizeError
from tinybase.functions.results import plain_json


class Color(enum.Enum):
    RED = "red"


class Model(BaseModel):
    at: date


@dataclass
class Point:
    x: int


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (None, None),
        (3, 3),
        ("ü", "ü"),
        ((1, 2), [1, 2]),
        ({1: "a"}, {"1": "a"}),
        ({"s": {1}}, {"s": [1]}),
        (OrderedDict(a=1), {"a": 1}),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Decimal("1.10"), "1.10"),
        (Color.RED, "red"),
        (PurePosixPath("a/b"), "a/b"),
        (date(2026, 1, 31), "2026-01-31"),
        (datetime(2026, 1, 31, 12, tzinfo=UTC), "2026-01-31T12:00:00.000000Z"),
        (datetime(2026, 1, 31, 12), "2026-01-31T12:00:00.000000Z"),  # noqa: DTZ001
        (UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (Point(1), {"x": 1}),
        ([Model(at=date(2026, 1, 31))], [{"at": "2026-01-31"}]),
    ],
)
def test_results_become_plain_json(value, plain):
    assert plain_json(value, 100) == plain


@pytest.mark.parametrize("value", [object(), b"bytes", 2**70, "\ud800", print, [[[{"a": object}]]]])
def test_what_json_has_no_form_for_is_refused_with_the_remedy(value):
    with pytest.raises(OutputValidationError, match="declare an output_model"):
        plain_json(value, 100)


def test_a_result_may_be_as_large_as_the_limit_and_no_larger():
    assert plain_json("x" * 98, 100) == "x" * 98
    with pytest.raises(ResultSizeError, match="exceeds maximum size of 100 bytes"):
        plain_json("x" * 99, 100)
