"""Lets the tests import the repository under the name that it is installed as."""

from pathlib import Path

from tinybase.testing import import_extension

import_extension(Path(__file__).parent.parent)
