"""Lets the tests import the repository under the name that it is installed as."""

import importlib.util
import sys
from pathlib import Path

NAME, ROOT = "webhooks", Path(__file__).parent.parent

spec = importlib.util.spec_from_file_location(
    NAME, ROOT / "__init__.py", submodule_search_locations=[str(ROOT)]
)
sys.modules[NAME] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules[NAME])
