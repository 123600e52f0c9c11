"""A TinyBase that runs with this extension and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tinybase.testing import Running, import_extension, running

ROOT = Path(__file__).parent.parent
import_extension(ROOT)  # under the name that it is installed as


@pytest.fixture(scope="session")
def tinybase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run one TinyBase for all tests; it keeps three failures."""
    folder, settings = tmp_path_factory.mktemp("site"), {"keep_failures": 3}
    with running(folder, extension=ROOT, modules=["broken"], settings=settings) as site:
        site.collection("notes", {"fields": [{"name": "text"}]}, create="public")
        yield site
