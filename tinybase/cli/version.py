"""``tinybase version``: what exactly is running."""

from __future__ import annotations

import platform
import sqlite3
from importlib import metadata

import click

from tinybase import __version__
from tinybase.cli.output import details, emit_json, json_option


@click.command("version")
@json_option
def command(*, as_json: bool) -> None:
    """Print the version of TinyBase and of what it stands on."""
    facts = {
        "tinybase": __version__,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        **{name: metadata.version(name) for name in ("flask", "granian", "pluggy", "sqlalchemy")},
        "platform": platform.platform(),
    }
    if as_json:
        emit_json(facts)
    else:
        details(facts)
