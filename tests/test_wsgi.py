from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from serving import clean_environment

PROJECT = """\
import os
from tinybase.extensions import on_shutdown, on_startup


@on_startup
def begin():
    print("started", flush=True)


@on_shutdown
def end():
    print("stopped", flush=True)
"""

OTHER_SERVER = """\
import io, sys
from wsgiref.util import setup_testing_defaults
import tinybase.wsgi
print("imported", flush=True)
from tinybase.wsgi import app
environ = {"PATH_INFO": "/health"}
setup_testing_defaults(environ)
print(b"".join(app(environ, lambda status, headers: None)).decode(), flush=True)
assert tinybase.wsgi.app is app
"""


@pytest.fixture
def instance(tmp_path: Path, empty_database: Path) -> Path:
    """Return an instance whose project tells when it starts and stops."""
    (tmp_path / "functions").mkdir()
    (tmp_path / "functions" / "project.py").write_text(PROJECT)
    shutil.copy(empty_database, tmp_path / "tinybase.db")
    return tmp_path


def serve_once(instance: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", OTHER_SERVER],
        env=clean_environment({"TINYBASE_INSTANCE": str(instance)}),
        capture_output=True,
        text=True,
        check=False,
    )


def test_any_wsgi_server_gets_the_application_when_it_asks_for_it(instance: Path) -> None:
    lines = serve_once(instance).stdout.splitlines()

    assert lines[:2] == ["imported", "started"]
    assert json.loads(lines[2]) == {"status": "healthy"}
    assert lines[3:] == ["stopped"]


def test_a_database_that_is_not_ready_is_refused(instance: Path) -> None:
    os.remove(instance / "tinybase.db")

    assert "Run tinybase db upgrade" in serve_once(instance).stderr
