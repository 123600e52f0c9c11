"""Whether the files of a set of extensions are still those that were installed."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution, PackagePath, distributions
from pathlib import Path

from packaging.utils import canonicalize_name


def installed(generation: Path) -> dict[str, Distribution]:
    """Return the packages in a set, by canonical name."""
    return {
        canonicalize_name(item.metadata["Name"]): item
        for item in distributions(path=[str(generation)])
        if item.metadata["Name"]
    }


def damage(generation: Path, wanted: Iterable[str]) -> Iterator[str]:
    """Name the packages and files that are missing, or not as they were installed."""
    found = installed(generation)
    for name in sorted(wanted):
        if name not in found or found[name].files is None:
            yield name
        else:
            yield from changed_files(found[name])


def changed_files(package: Distribution) -> list[str]:
    """Return the files of a package that are missing or do not have the hash in its RECORD."""
    return [str(file) for file in package.files or () if not _is_as_installed(file)]


def _is_as_installed(file: PackagePath) -> bool:
    """Compare a file with its hash; scripts, which lie elsewhere, do not count.

    pip notes some of them under their name in the wheel, which is in its ``.data`` folder.
    """
    lies_elsewhere = ".." in file.parts or file.is_absolute() or file.parts[0].endswith(".data")
    if file.hash is None or lies_elsewhere:
        return True
    path = Path(str(file.locate()))
    try:
        digest = hashlib.new(file.hash.mode, path.read_bytes()).digest()
    except (OSError, ValueError):
        return False
    return base64.urlsafe_b64encode(digest).decode().rstrip("=") == file.hash.value
