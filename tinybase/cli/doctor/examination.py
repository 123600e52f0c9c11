"""The order of the checks: each group needs what the ones before it found in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from tinybase import config as configuration
from tinybase.actors import SYSTEM
from tinybase.cli.doctor import data, environment, extensions, files, settings
from tinybase.cli.doctor.finding import Finding, error
from tinybase.cli.opening import opened
from tinybase.errors import ConfigError, TinyBaseError

Progress = Callable[[str], object]


def examine(instance: Path, *, progress: Progress) -> Iterator[Finding]:
    """Yield what is wrong with an instance; a fault of one group does not hide the others.

    :param progress: is told, in a few words, what is being looked at.
    """
    progress("Looking at the environment and the configuration")
    yield from environment.check(instance)
    try:
        config = settings.load(instance)
    except ConfigError as fault:
        yield error(
            "configuration_broken",
            f"The configuration cannot be read: {fault.detail}",
            instance / configuration.FILE_NAME,
            "Correct it; the rest of the instance could not be looked at.",
        )
        return
    yield from settings.check(config)
    progress("Looking at the installed files")
    yield from _survive("files_unreadable", instance, lambda: files.check(config))
    progress("Looking at the database")
    wrong = [*_survive("database_unusable", "database.url", lambda: data.check_revision(config))]
    yield from wrong
    if wrong:
        return
    with opened(config, actor=SYSTEM, load=False) as services:
        yield from _survive("database_unusable", "database.url", lambda: data.check(services))
        progress("Trying out the extensions")
        yield from _survive("extensions_unknown", instance, lambda: extensions.check(services))


def _survive(code: str, where: object, check: Callable[[], Iterator[Finding]]) -> Iterator[Finding]:
    """Turn a fault that keeps a check from its work into a finding."""
    try:
        yield from check()
    except TinyBaseError as fault:
        yield error(code, fault.detail, where, "The text above says what to do; then ask again.")
    except OSError as fault:
        place = fault.filename or where
        yield error(code, f"{fault.strerror or fault}.", place, "Make it readable for this user.")
