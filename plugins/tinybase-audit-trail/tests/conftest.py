"""A TinyBase in a temporary folder, with the extension loaded as it is when installed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tinybase.testing import Running, running


@pytest.fixture
def tinybase(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as tinybase:
        tinybase.collection("notes", {"fields": [{"name": "text"}]})
        yield tinybase


@pytest.fixture
def query(tinybase: Running) -> Callable[..., Any]:
    """Ask the trail as an admin and return the result."""
    return partial(ask, tinybase)


def ask(tinybase: Running, **filters: Any) -> Any:
    """Call ``audit_trail_query``, which must succeed, and return its result."""
    answer = tinybase.call("audit_trail_query", filters)
    assert answer["status"] == "succeeded", answer
    return answer["result"]
