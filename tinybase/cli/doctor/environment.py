"""What TinyBase runs on: Python, packages, programs, folders, room on the disk."""

from __future__ import annotations

import os
import platform
import shutil
import sqlite3
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

from packaging.requirements import Requirement

from tinybase import __version__
from tinybase.cli.doctor.finding import Finding, error, info, warning

_OLDEST_SQLITE = (3, 38)  # the first in which JSON is never missing
_SCARCE_BYTES = 200 * 2**20
_TOO_FEW_BYTES = 20 * 2**20


def check(instance: Path) -> Iterator[Finding]:
    """Look at the machine."""
    yield _versions()
    yield from _packages()
    yield from _programs()
    yield from _folders(instance)
    yield from _room(instance)


def _versions() -> Finding:
    return info(
        "versions",
        f"TinyBase {__version__}, Python {platform.python_version()}, SQLite "
        f"{sqlite3.sqlite_version}, pip {_version('pip') or 'missing'}, "
        f"git {'found' if shutil.which('git') else 'missing'}, {platform.platform()}.",
        "this machine",
    )


def _packages() -> Iterator[Finding]:
    """Compare what TinyBase needs with what is there; pip is part of it."""
    for line in requires("tinybase") or ():
        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        found = _version(requirement.name)
        if found is None or not requirement.specifier.contains(found, prereleases=True):
            has = f"there is {found}" if found else "it is missing"
            yield error(
                "package_unfit",
                f"TinyBase needs {requirement.name}{requirement.specifier}, and {has}.",
                "the environment of TinyBase",
                f"Run python -m pip install '{requirement.name}{requirement.specifier}'.",
            )


def _programs() -> Iterator[Finding]:
    if not shutil.which("git"):
        yield warning(
            "git_missing",
            "git is not found: repositories are fetched as archives, and those behind SSH "
            "cannot be fetched.",
            "PATH",
            "Install git.",
        )
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        oldest = ".".join(map(str, _OLDEST_SQLITE))
        yield error(
            "sqlite_too_old",
            f"SQLite {sqlite3.sqlite_version} is too old: indexes on fields need {oldest}.",
            "the sqlite3 module of Python",
            "Use a Python that was built with a newer SQLite, or PostgreSQL.",
        )


def _folders(instance: Path) -> Iterator[Finding]:
    for folder in (instance, instance / "extensions", instance / "logs"):
        if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
            yield error(
                "not_writable",
                "This user may not write into the folder.",
                folder,
                "Give the user that runs TinyBase the right to write there.",
            )


def _room(instance: Path) -> Iterator[Finding]:
    if not instance.is_dir():
        return
    free = shutil.disk_usage(instance).free
    if free < _SCARCE_BYTES:
        make = error if free < _TOO_FEW_BYTES else warning
        yield make(
            "disk_full",
            f"Only {free // 2**20} MiB are left on the disk.",
            instance,
            "Free some space; without any, nothing can be stored or installed.",
        )


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
