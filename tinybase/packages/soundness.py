"""Whether a lock that somebody else wrote can be trusted, and whether it fits this machine."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import sys_tags
from packaging.utils import (
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import Version

from tinybase.errors import Conflict
from tinybase.packages.addresses import GitSource
from tinybase.packages.checks import check_brought, check_fits_together, check_wheel
from tinybase.packages.environment import HostPackages
from tinybase.packages.lock import Lock, LockedExtension, LockedWheel
from tinybase.packages.wheels import WheelFacts, check_record, read_wheel

_DIGEST = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


def unsound(lock: Lock) -> str | None:
    """Return the first extension or package of which a lock says what cannot be right.

    What a sound lock says cannot lead pip, git or us somewhere else.
    """
    for name, item in lock.extensions.items():
        if not (_is_sound_wheel(name, item.wheel) and _has_sound_commit(item)):
            return name
    for name, wheel in lock.packages.items():
        if name in lock.extensions or not _is_sound_wheel(name, wheel):
            return name
    return None


def made_for_others(wheels: Iterable[LockedWheel]) -> Iterator[str]:
    """Say which wheels are for other machines or other versions of Python."""
    here = set(sys_tags())
    for wheel in wheels:
        if here.isdisjoint(parse_wheel_filename(wheel.file)[3]):
            yield f"{wheel.file} is made for another machine or another Python"


def misfits(wheels: Mapping[str, WheelFacts], host: HostPackages) -> list[str]:
    """Say why this Python or this TinyBase cannot use a set of wheels."""
    python = platform.python_version()
    reasons = [
        f"{name} needs Python {wheel.requires_python}, not {python}"
        for name, wheel in wheels.items()
        if not _allows(wheel.requires_python, python)
    ]
    try:
        check_fits_together(wheels, host)
    except Conflict as error:
        reasons += error.members["conflicts"]
    return reasons


def check_contents(lock: Lock, wheels: Mapping[str, Path], host: HostPackages) -> None:
    """Refuse a set in which something is that would be refused if it were installed alone.

    That its digest is the one in the lock does not help: who wrote the lock chose the wheels.

    :param wheels: the file of everything in the lock, by name.
    :raises Conflict: ``extension_load_failed``.
    :raises Invalid: ``manifest_invalid``.
    """
    facts = {name: read_wheel(path) for name, path in wheels.items()}
    for path in wheels.values():
        check_record(path)
    for name, item in sorted(lock.extensions.items()):
        others = {key: found for key, found in facts.items() if key != name}
        check_wheel(name, facts[name], host, others, editable=item.editable)
    check_brought(facts, sorted(lock.extensions))


def _allows(specifier: str, version: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


def _has_sound_commit(item: LockedExtension) -> bool:
    if item.commit is None:
        return item.source != GitSource.kind
    return bool(_COMMIT.fullmatch(item.commit))


def _is_sound_wheel(name: str, wheel: LockedWheel) -> bool:
    try:
        found: tuple[NormalizedName, Version] = parse_wheel_filename(wheel.file)[:2]
        return (
            found == (canonicalize_name(name, validate=True), Version(wheel.version))
            and name == found[0]
            and "/" not in wheel.file
            and "\\" not in wheel.file
            and wheel.file.isprintable()
            and wheel.version.strip() == wheel.version
            and bool(_DIGEST.fullmatch(wheel.sha256))
            and bool(_DIGEST.fullmatch(wheel.built_from or wheel.sha256))
        )
    except (InvalidWheelFilename, ValueError):
        return False
