from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from serving import clean_environment
from sqlalchemy import create_engine, insert, select
from uuid_utils.compat import uuid7

from tinybase.db import tables, utcnow
from tinybase.packages.lock import Lock

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

LATER = {
    "alembic",
    "prometheus_client",
    "pydantic",
    "tinybase.db.models",
    "tinybase.packages.lock",
    "tinybase.packages.pipeline",
    "tinybase.packages.plan",
}
"""What only some requests need; it takes longer to import than to answer a thousand others."""

OTHER_SERVER = (
    f"LATER = {LATER}\n"
    + """\
import io, sys
from wsgiref.util import setup_testing_defaults
import tinybase.wsgi
print("imported", flush=True)
from tinybase.wsgi import app
environ = {"PATH_INFO": "/health"}
setup_testing_defaults(environ)
print(b"".join(app(environ, lambda status, headers: None)).decode(), flush=True)
print(*sorted(LATER & sys.modules.keys()), flush=True)
assert tinybase.wsgi.app is app
"""
)


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
    assert lines[-1] == "stopped"


def test_nothing_is_imported_for_the_first_answer_that_it_does_not_need(instance: Path) -> None:
    lines = serve_once(instance).stdout.splitlines()

    assert lines[3:] == ["", "stopped"]


def test_a_database_that_is_not_ready_is_refused(instance: Path) -> None:
    os.remove(instance / "tinybase.db")

    assert "Run tinybase db upgrade" in serve_once(instance).stderr


def test_a_server_takes_up_what_an_interrupted_command_left_to_be_noted(instance: Path) -> None:
    installed = instance / "extensions" / "generations" / "001"
    installed.mkdir(parents=True)
    Lock().write(installed / "extensions.lock")
    (instance / "extensions" / "current").symlink_to("generations/001")
    pending = instance / "extensions" / "pending"
    pending.write_text(json.dumps({"generation": "001", "added": [], "removed": ["gone"]}))
    engine = create_engine(f"sqlite:///{instance / 'tinybase.db'}")
    wishes = tables.extensions
    with engine.begin() as connection:
        now = utcnow()
        connection.execute(
            insert(wishes).values(
                id=uuid7(),
                name="gone",
                is_enabled=True,
                status="enabled",
                created_at=now,
                updated_at=now,
            )
        )

    assert json.loads(serve_once(instance).stdout.splitlines()[2]) == {"status": "healthy"}

    with engine.connect() as connection:
        assert connection.execute(select(wishes.c.name)).all() == []
    engine.dispose()
    assert not pending.exists()
    assert (instance / "extensions.lock").exists()
