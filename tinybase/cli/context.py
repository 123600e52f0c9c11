"""The instance that a command works on, and the services of it.

Nothing heavy is imported before a command asks for the services, so that help, version
and every command that mends a broken instance work where the application cannot load.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tinybase import config as configuration
from tinybase import logs
from tinybase.actors import SYSTEM
from tinybase.cli.importing import without_collector
from tinybase.config import Config
from tinybase.errors import ConfigError

if TYPE_CHECKING:
    from tinybase.api.services import Services


def instance() -> Path:
    """Return the folder that ``--instance`` or ``TINYBASE_INSTANCE`` names."""
    return Path(click.get_current_context().find_root().params["instance"]).resolve()


def use_instance(folder: Path) -> None:
    """Work on another folder than the one that was named."""
    click.get_current_context().find_root().params["instance"] = str(folder)


def own_command(words: str) -> str:
    """Write a command for the same instance, as a person would type it here."""
    folder = instance()
    if folder == Path.cwd():
        return f"tinybase {words}"
    try:
        shown = folder.relative_to(Path.cwd())
    except ValueError:
        shown = folder
    return f"tinybase -C {shlex.quote(str(shown))} {words}"


def load_config() -> Config:
    """Read the configuration of the instance.

    :raises ConfigError: also when the folder is no instance.
    """
    folder = instance()
    if not (folder / configuration.FILE_NAME).is_file():
        raise ConfigError(
            f"{folder} is no TinyBase instance: it has no {configuration.FILE_NAME}. "
            "Run tinybase init there, or name the folder with tinybase -C FOLDER."
        )
    return configuration.load(folder)


def check_database(config: Config) -> None:
    """Make sure that the database is at the version of this TinyBase.

    :raises Unavailable: saying what to do.
    """
    with without_collector():
        from tinybase.cli.database import opened  # noqa: PLC0415 - SQLAlchemy
        from tinybase.db import migrate  # noqa: PLC0415

    with opened(config) as engine:
        migrate.check(engine)


@contextmanager
def services(*, load: bool = False) -> Iterator[Services]:
    """Open the application of the instance; what the block does is done by the system.

    :param load: import the extensions and functions too, so that hooks fire and functions
        can be called. Their ``on_startup`` is not called: that belongs to workers.
    """
    config = load_config()
    # Only what goes wrong: the rest belongs to the log of the server.
    logs.configure("debug" if config.server.log_level == "debug" else "warning")
    # The application brings Flask, SQLAlchemy and marshmallow: a third of a second.
    with without_collector():
        from tinybase.cli.opening import opened  # noqa: PLC0415

    with opened(config, actor=SYSTEM, load=load) as found:
        yield found
