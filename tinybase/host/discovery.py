"""Finding the extensions that are installed, without importing any of them."""

from __future__ import annotations

import hashlib
import importlib
import site
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from importlib.metadata import Distribution, PackageMetadata, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from tinybase._version import __version__
from tinybase.errors import Invalid
from tinybase.extensions.rows import Order
from tinybase.host.loading import EntryPoint
from tinybase.host.manifests import collections_of, order_of
from tinybase.host.usage import Usage
from tinybase_hookspecs import CollectionDeclaration

GROUP = "tinybase.extensions"
"""The entry-point group in which extensions announce themselves."""

_SETTLED_NS = 2 * 10**9
"""How long a folder must not have changed before its time of change is a proof of that."""


@dataclass(frozen=True)
class Candidate:
    """An installed distribution that is an extension.

    ``managed`` says whether it is in the instance's generation, that is, whether
    ``tinybase extensions install`` brought it. ``problem`` is why it must not be loaded,
    with the status that this means. ``fingerprint`` changes whenever an installed file does.
    ``order`` and ``collections`` are what the manifest declares.
    """

    name: str
    version: str
    entry_points: tuple[EntryPoint, ...]
    location: Path
    managed: bool
    description: str = ""
    author: str = ""
    license: str = ""
    problem: tuple[str, str] | None = None
    fingerprint: str = ""
    order: Order = field(default_factory=Order)
    collections: tuple[CollectionDeclaration, ...] = ()

    @property
    def package(self) -> str:
        """Return the package that it is imported as."""
        return self.entry_points[0].package


def current_generation(instance: Path) -> Path | None:
    """Return the folder of what is installed for an instance, or ``None`` if nothing is."""
    link = instance / "extensions" / "current"
    return link.resolve() if link.exists() else None


class SearchPath:
    """Keeps one generation at the end of ``sys.path``, so that the host's packages win."""

    def __init__(self) -> None:
        self.generation: Path | None = None
        self._usage = Usage()

    def follow_current(self, instance: Path) -> None:
        """Follow the generation in force, which nobody removes from now on."""
        generation = current_generation(instance)
        while generation is not None and not self._usage.begin(generation):
            # So many others came meanwhile that it is removed already.
            newer = current_generation(instance)
            if newer == generation:  # its file system knows no locks
                break
            generation = newer
        self.follow(generation)

    def follow(self, generation: Path | None) -> None:
        """Make the packages of another generation importable instead of the last one's."""
        if generation != self.generation:
            if self.generation is not None and str(self.generation) in sys.path:
                sys.path.remove(str(self.generation))
            if generation is not None:
                self._usage.begin(generation)
                _append(generation)
            # Requests in flight still use the last one.
            self._usage.end_unless([generation, self.generation])
            self.generation = generation
        importlib.invalidate_caches()

    def close(self) -> None:
        """Let others remove what this process has imported from."""
        self._usage.end()


class Finder:
    """Finds extensions again and again, and reads what is no extension only once.

    Each file that is read lets other threads go first; among the threads of a busy worker
    reading all distributions takes a second rather than milliseconds.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[int, list[Distribution]]] = {}
        self._adopted: dict[str, Candidate] = {}

    def adopt(self, candidate: Candidate) -> None:
        """Find an extension from now on that is not installed, instead of one that is."""
        self._adopted[candidate.name] = candidate

    def candidates(self, generation: Path | None) -> list[Candidate]:
        """Return the extensions of the environment and of a generation, by name."""
        found: dict[str, Candidate] = {}
        for distribution in (d for folder in dict.fromkeys(sys.path) for d in self._of(folder)):
            candidate = describe(distribution, tuple(_entry_points(distribution)), generation)
            known = found.get(candidate.name)
            if known is None:
                found[candidate.name] = candidate
            elif known.managed != candidate.managed:
                found[candidate.name] = _installed_twice(known)
        found |= self._adopted
        return _refuse_shared_packages([found[name] for name in sorted(found)])

    def _of(self, folder: str) -> list[Distribution]:
        """Return the extensions in a folder; their files are read when they are asked."""
        try:
            changed = Path(folder).stat().st_mtime_ns
        except OSError:
            return []
        known = self._known.get(folder)
        if known is not None and known[0] == changed:
            return [distribution for distribution in known[1] if any(_entry_points(distribution))]
        found = [item for item in distributions(path=[folder]) if any(_entry_points(item))]
        if time.time_ns() - changed > _SETTLED_NS:
            self._known[folder] = changed, found
        return found


def find_candidates(generation: Path | None) -> list[Candidate]:
    """Return the extensions of the environment and of a generation, by name."""
    return Finder().candidates(generation)


def _append(generation: Path) -> None:
    sys.path.append(str(generation))
    # Editable installs work through a path file. No other path file is looked at: it
    # could run code of an extension that is disabled.
    for path_file in sorted(generation.glob("__editable__*.pth")):
        site.addpackage(str(generation), path_file.name, None)


def _entry_points(distribution: Distribution) -> Iterator[EntryPoint]:
    try:
        declared = distribution.entry_points
    except Exception:  # noqa: BLE001 - broken metadata of some package that may not concern us
        return
    for entry_point in declared:
        if entry_point.group == GROUP:
            yield EntryPoint.parse(entry_point.value)


def describe(
    distribution: Distribution, entry_points: tuple[EntryPoint, ...], generation: Path | None
) -> Candidate:
    """Return an extension as its metadata and its manifest say that it is."""
    location = Path(str(distribution.locate_file(""))).resolve()
    found = Candidate(
        name=canonicalize_name(entry_points[0].package),
        version="",
        entry_points=entry_points,
        location=location,
        managed=location == generation,
    )
    try:
        return _with_metadata(found, distribution)
    except Exception as error:  # noqa: BLE001 - of what was half removed there is anything left
        reason = (
            f"its metadata cannot be read ({type(error).__name__}). Install it again, or remove "
            f"what is left of it in {location}."
        )
        return replace(found, problem=("failed", reason))


def _with_metadata(found: Candidate, distribution: Distribution) -> Candidate:
    metadata = distribution.metadata
    if not _field(metadata, "Name"):
        raise LookupError("it has no name")
    collections, fault = _collections(distribution, found.package)
    return replace(
        found,
        name=canonicalize_name(_field(metadata, "Name")),
        version=_field(metadata, "Version"),
        description=_field(metadata, "Summary"),
        author=_field(metadata, "Author") or _field(metadata, "Author-email"),
        license=_field(metadata, "License-Expression") or _field(metadata, "License"),
        problem=_incompatibility(metadata) or fault,
        fingerprint=_fingerprint(distribution),
        order=order_of(distribution, found.package),
        collections=collections,
    )


def _collections(
    distribution: Distribution, package: str
) -> tuple[tuple[CollectionDeclaration, ...], tuple[str, str] | None]:
    """Return the collections of the manifest, or the problem that they cannot be understood."""
    try:
        return collections_of(distribution, package), None
    except Invalid as error:
        return (), ("failed", error.detail)


def _field(metadata: PackageMetadata, name: str) -> str:
    return str(metadata[name]) if name in metadata else ""


def _fingerprint(distribution: Distribution) -> str:
    """Return a digest of the list of installed files, which has a hash of each."""
    return hashlib.sha256((distribution.read_text("RECORD") or "").encode()).hexdigest()


def _incompatibility(metadata: PackageMetadata) -> tuple[str, str] | None:
    needed = _field(metadata, "Requires-Python")
    python = ".".join(str(part) for part in sys.version_info[:3])
    if needed and not _fits(python, needed):
        return "incompatible", f"needs Python {needed}; this is Python {python}"
    for line in metadata.get_all("Requires-Dist") or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if canonicalize_name(requirement.name) == "tinybase" and not requirement.specifier.contains(
            __version__, prereleases=True
        ):
            return (
                "incompatible",
                f"needs tinybase {requirement.specifier}; this is tinybase {__version__}",
            )
    return None


def _fits(version: str, specifier: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


def _installed_twice(candidate: Candidate) -> Candidate:
    reason = (
        f"it is installed twice, by tinybase and by pip. Run tinybase extensions uninstall "
        f"{candidate.name}, or pip uninstall {candidate.name}."
    )
    return replace(candidate, problem=("failed", reason))


def _refuse_shared_packages(candidates: list[Candidate]) -> list[Candidate]:
    """Let only the first of several extensions have one import package."""
    owners: dict[str, str] = {}
    checked = []
    for candidate in candidates:
        owner = owners.setdefault(candidate.package, candidate.name)
        if owner != candidate.name:
            reason = (
                f"its package {candidate.package} is also that of the extension {owner}. "
                "Uninstall one of them."
            )
            candidate = replace(candidate, problem=("failed", reason))  # noqa: PLW2901
        checked.append(candidate)
    return checked
