"""What a process has imported and cannot import anew: it takes another process.

The code of an extension itself is imported anew in the running process, as a whole. That
does not do for a library, or an extension that others need: they hold on to it. Nor does it
for native code, which the interpreter never lets go of.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.metadata import Distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name


@dataclass(frozen=True)
class _Installed:
    """One distribution of a generation: the hash of each file, and whom it needs."""

    name: str
    version: str
    files: dict[str, str]
    needs: frozenset[str]


def outdated(generation: Path, extensions: Mapping[str, str]) -> list[str]:
    """Return what was imported from earlier generations and is another one in this one.

    What is not there any more does not count: nobody asks for it.

    :param extensions: the packages that are imported anew, by name of the extension.
    """
    now = {item.name: item for item in _installed(generation)}
    needed = {need for item in now.values() for need in item.needs}
    found = []
    for folder, imported in _imported_from(generation.parent).items():
        if folder == generation:
            continue
        for before in _installed(folder):
            after = now.get(before.name)
            if after is None or after.files == before.files or not imported & before.files.keys():
                continue
            package = extensions.get(before.name) if before.name not in needed else None
            changed = {
                file for file, digest in before.files.items() if after.files.get(file) != digest
            }
            if package is None or any(_stays(file, package) for file in imported & changed):
                found.append(f"{before.name} ({before.version} → {after.version})")
    return sorted(set(found))


def _imported_from(generations: Path) -> dict[Path, set[str]]:
    """Return the files that modules came from, by generation."""
    found: dict[Path, set[str]] = {}
    for module in list(sys.modules.values()):
        path = Path(str(getattr(module, "__file__", None) or ""))
        if path.is_relative_to(generations):
            number, *rest = path.relative_to(generations).parts
            found.setdefault(generations / number, set()).add("/".join(rest))
    return found


def _stays(file: str, package: str) -> bool:
    """Say whether a module stays what it is although its package is imported anew."""
    is_inside = file == f"{package}.py" or file.startswith(f"{package}/")
    return not is_inside or file.endswith(tuple(EXTENSION_SUFFIXES))


def _installed(generation: Path) -> Iterator[_Installed]:
    for distribution in distributions(path=[str(generation)]):
        yield _Installed(
            name=canonicalize_name(distribution.metadata["Name"]),
            version=distribution.version,
            files=_files(distribution),
            needs=frozenset(_needs(distribution)),
        )


def _files(distribution: Distribution) -> dict[str, str]:
    """Return the hashes of the code and data of a distribution, without its metadata."""
    rows = csv.reader((distribution.read_text("RECORD") or "").splitlines())
    return {
        row[0]: row[1] for row in rows if len(row) > 1 and row[1] and ".dist-info/" not in row[0]
    }


def _needs(distribution: Distribution) -> Iterator[str]:
    for line in distribution.requires or ():
        try:
            yield canonicalize_name(Requirement(line).name)
        except InvalidRequirement:
            continue
