"""What importing the author's door loads."""

import subprocess
import sys


def test_importing_functions_loads_neither_flask_nor_sqlalchemy():
    code = (
        "import sys, tinybase.functions;"
        "heavy = {'flask', 'sqlalchemy', 'pydantic', 'marshmallow'} & set(sys.modules);"
        "sys.exit(', '.join(heavy) or 0)"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")
