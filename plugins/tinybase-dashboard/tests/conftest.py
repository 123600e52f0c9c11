"""A TinyBase that runs with this extension and nothing else."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tinybase.testing import Running, running

NAME, ROOT = "tinybase_dashboard", Path(__file__).parent.parent

# The repository is the package, so it has to be imported under the name it is installed as.
spec = importlib.util.spec_from_file_location(
    NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
)
sys.modules[NAME] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[NAME])

HERE = {"TINYBASE_EXTENSIONS": "none", "TINYBASE_EXT_PROJECT_KEEP_FAILURES": "3"}
"""Modules that are not installed are the project's own, and so are their settings."""


@pytest.fixture(scope="session")
def tinybase(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Run one TinyBase for all tests; it keeps three failures."""
    with running(tmp_path_factory.mktemp("site"), modules=[NAME, "broken"], environ=HERE) as site:
        site.collection("notes", {"fields": [{"name": "text"}]}, create="public")
        yield site
