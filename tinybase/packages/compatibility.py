"""Whether installed extensions fit a version of TinyBase, as far as their metadata tells."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, distributions
from pathlib import Path

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name

from tinybase import __version__
from tinybase.errors import NotFound
from tinybase.host.discovery import GROUP
from tinybase.host.loading import EntryPoint
from tinybase.packages.closure import applies

_HOST = "tinybase"


@dataclass(frozen=True, slots=True)
class Fit:
    """Whether one extension fits; ``reasons`` says what does not, and is empty if it does.

    ``needs`` and ``python`` are the versions of TinyBase and Python that it asks for, empty
    where it asks for none.
    """

    name: str
    version: str
    needs: str
    python: str
    reasons: tuple[str, ...]

    @property
    def fits(self) -> bool:
        """Say whether nothing speaks against it."""
        return not self.reasons


def extension_distributions(generation: Path | None) -> Iterator[Distribution]:
    """Yield what is installed as an extension, in a generation and in the environment.

    What is installed in several places comes several times.
    """
    places = [distributions(path=[str(generation)])] if generation else []
    for found in [*places, distributions()]:
        yield from (item for item in found if _is_extension(item))


def identify(name: str, generation: Path | None) -> tuple[str, str]:
    """Return the canonical name of an extension and the package that it is imported as.

    :raises NotFound: if it is not installed.
    """
    canonical = canonicalize_name(name)
    for item in extension_distributions(generation):
        if canonicalize_name(item.metadata["Name"]) == canonical:
            (value, *_) = (entry.value for entry in item.entry_points if entry.group == GROUP)
            return canonical, EntryPoint.parse(value).package
    raise NotFound(f"Extension '{name}' not found. See tinybase extensions list.")


def check_fit(generation: Path | None, against: str | None = None) -> list[Fit]:
    """Return how each installed extension fits, by name; nothing of them is imported.

    :param against: a version of TinyBase; without it the present one, and then the other
        packages that an extension asks for are looked at too.
    """
    found: dict[str, Fit] = {}
    for item in extension_distributions(generation):
        name = canonicalize_name(item.metadata["Name"])
        if name not in found:
            found[name] = _fit(name, item, generation, against)
    return [found[name] for name in sorted(found)]


def _fit(name: str, item: Distribution, generation: Path | None, against: str | None) -> Fit:
    requirements, reasons = _requirements(item)
    host = [each for each in requirements if canonicalize_name(each.name) == _HOST]
    version = against or __version__
    reasons += [
        f"it needs tinybase{each.specifier}, not {version}"
        for each in host
        if not each.specifier.contains(version, prereleases=True)
    ]
    python = item.metadata["Requires-Python"] or ""
    if not _fits_python(python):
        reasons.append(f"it needs Python {python}; this is {platform.python_version()}")
    if against is None:
        others = [each for each in requirements if each not in host]
        reasons += [text for each in others if (text := _unmet(each, generation))]
    needs = ",".join(str(each.specifier) for each in host)
    return Fit(name, item.version, needs, python, tuple(reasons))


def _requirements(item: Distribution) -> tuple[list[Requirement], list[str]]:
    """Return what a package asks for here, and what is wrong with how it asks."""
    requirements, faults = [], []
    for line in item.requires or ():
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            faults.append(f"its requirement '{line}' cannot be read")
            continue
        if applies(requirement):
            requirements.append(requirement)
    return requirements, faults


def _unmet(requirement: Requirement, generation: Path | None) -> str | None:
    """Return what is wrong with the package that a requirement gets, if anything is."""
    found = _version(requirement.name, generation)
    if found is None:
        return f"it needs {requirement.name}, which is not installed"
    if not requirement.specifier.contains(found, prereleases=True):
        return f"it needs {requirement.name}{requirement.specifier}, and there is {found}"
    return None


def _version(name: str, generation: Path | None) -> str | None:
    """Return the version of a package that extensions get; those of the host come first."""
    try:
        return distribution(name).version
    except PackageNotFoundError:
        path = [str(generation)] if generation else []
        own = [item.version for item in distributions(name=name, path=path)]
        return own[0] if own else None


def _fits_python(specifier: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(platform.python_version(), prereleases=True)
    except InvalidSpecifier:  # as when loading: it does not keep the extension from running
        return True


def _is_extension(item: Distribution) -> bool:
    try:
        return any(entry_point.group == GROUP for entry_point in item.entry_points)
    except (OSError, ValueError):  # broken metadata of some package that does not concern us
        return False
