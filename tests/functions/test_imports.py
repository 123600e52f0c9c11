"""What importing the author's door loads, and what a server without any function does."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("tinybase.functions", {"flask", "sqlalchemy", "pydantic", "marshmallow"}),
        ("tinybase.cli.supervisor", {"pydantic", "alembic", "pip", "rich"}),
    ],
)
def test_what_takes_long_to_import_is_left_until_it_is_needed(module, heavy):
    code = f"import sys, {module}; sys.exit(', '.join({heavy} & set(sys.modules)) or 0)"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
