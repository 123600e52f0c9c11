"""A TinyBase in a temporary folder, with the extension loaded as it is when installed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tinybase.testing import Running, running


@pytest.fixture
def tinybase(tmp_path: Path) -> Iterator[Running]:
    with running(tmp_path) as tinybase:
        tinybase.collection("notes", {"fields": [{"name": "text"}]})
        yield tinybase


@pytest.fixture
def query(tinybase: Running):
    """Ask the trail as an admin and return the result."""

    def query(**filters):
        answer = tinybase.call("audit_trail_query", filters)
        assert answer["status"] == "succeeded", answer
        return answer["result"]

    return query
