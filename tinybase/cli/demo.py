"""``tinybase demo``: a first look without making anything that stays."""

from __future__ import annotations

import os
import secrets
import shutil
import tempfile
from importlib import resources
from pathlib import Path

import click

from tinybase.actors import SYSTEM
from tinybase.cli import context
from tinybase.cli.init import make_files, upgrade_database
from tinybase.cli.output import note
from tinybase.cli.serve import serve

_EMAIL = "admin@example.com"
_SCHEMA = {
    "fields": [
        {"name": "text", "type": "string", "required": True, "max_length": 500},
        {"name": "done", "type": "boolean", "default": False, "indexed": True},
    ]
}
_TEXTS = (
    "Open the API documentation and sign in",
    "Store a note: the log shows that the example extension has seen it",
    "Call the function demo_count of the example extension",
)


@click.command("demo")
@click.option("--host", help="The address to listen on. Default: 127.0.0.1.")
@click.option("--port", type=click.IntRange(1, 65535), help="The port. Default: 8000.")
@click.option("--open", "open_", is_flag=True, help="Open the API documentation in a browser.")
def command(*, host: str | None, port: int | None, open_: bool) -> None:
    """Serve an example instance until Ctrl-C, then forget it.

    It has a collection with some records and an example extension: two handlers and a
    function. Everything is in a temporary folder.
    """
    flags = {"TINYBASE_SERVER_HOST": host, "TINYBASE_SERVER_PORT": port}
    given = {name: str(value) for name, value in flags.items() if value}
    # Whatever database the environment names, it is not for playing.
    os.environ["TINYBASE_DATABASE_URL"] = "sqlite:///tinybase.db"
    with tempfile.TemporaryDirectory(prefix="tinybase-demo-") as folder:
        context.use_instance(Path(folder) / "instance")
        make_files(None)
        upgrade_database()
        password = secrets.token_urlsafe(9)
        _fill(password, _copy_extension(Path(folder)))
        note(f"Sign in as {_EMAIL} with the password {password}")
        serve(given, reload=False, open_=open_)


def _fill(password: str, extension: Path) -> None:
    note("Installing the example extension ...")
    with context.services(load=True) as services:
        services.extensions.install(str(extension))
        services.users.create(_EMAIL, password, is_admin=True)
        services.collections.create("notes", label="Notes", schema=_SCHEMA)
        for text in _TEXTS:
            services.records.create(SYSTEM, "notes", {"text": text})


def _copy_extension(folder: Path) -> Path:
    """Write the example extension as the folder that its author would have."""
    with resources.as_file(resources.files(__package__) / "demo_extension") as found:
        return shutil.copytree(
            found, folder / "tinybase-demo", ignore=shutil.ignore_patterns("__pycache__")
        )
