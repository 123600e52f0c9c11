"""What must be true of an extension before it can join the others."""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Mapping

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tinybase.errors import Conflict
from tinybase.host.loading import EntryPoint
from tinybase.packages import manifest
from tinybase.packages.closure import applies
from tinybase.packages.environment import HostPackages
from tinybase.packages.lock import Lock
from tinybase.packages.wheels import WheelFacts, place


def check_is_new(name: str, lock: Lock, host: HostPackages) -> None:
    """Refuse an extension that is already there.

    :raises Conflict: ``extension_exists``, with what to do instead.
    """
    if name in lock.extensions:
        raise Conflict(
            f"{name} {lock.extensions[name].version} is already installed. To move it to another "
            f"release, run tinybase extensions update {name}.",
            code="extension_exists",
        )
    if version := host.version(name):
        raise Conflict(
            f"{name} {version} is already installed in the environment of TinyBase. "
            f"Run pip uninstall {name} first.",
            code="extension_exists",
        )


def check_fits_host(name: str, requirements: tuple[str, ...], host: HostPackages) -> None:
    """Refuse an extension that needs another version of what the host provides.

    :raises Conflict: ``dependency_conflict``, naming every package and both versions.
    """
    conflicts = []
    for requirement in map(Requirement, requirements):
        _check_comes_from_the_index(name, requirement)
        version = host.version(requirement.name)
        if version is None or not applies(requirement):
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            conflicts.append((requirement, version))
    if conflicts:
        told = " and ".join(
            f"it needs {requirement.name}{requirement.specifier}, and this TinyBase runs with "
            f"{requirement.name} {version}, which no extension may change"
            for requirement, version in conflicts
        )
        raise Conflict(
            f"{name} does not fit: {told}. Install a release of {name} that fits.",
            code="dependency_conflict",
            conflicts=[f"{item.name}{item.specifier} ({version})" for item, version in conflicts],
        )


def check_wheel(
    name: str,
    wheel: WheelFacts,
    host: HostPackages,
    others: dict[str, WheelFacts],
    *,
    editable: bool = False,
) -> None:
    """Refuse a wheel that is no extension, or whose packages belong to somebody else.

    :param others: the wheels of everything else that will be installed, by name.
    :param editable: it leads to a local folder, for which it needs a path file.
    :raises Conflict: ``extension_load_failed``, with what its author has to change.
    """
    if not wheel.entry_points:
        raise _unusable(
            f"{name} is no extension of TinyBase: it declares no entry point in the group "
            "tinybase.extensions. Its author has to add one, for example "
            f'[project.entry-points."tinybase.extensions"] {name} = "{name.replace("-", "_")}".'
        )
    packages = {EntryPoint.parse(value).package for value in wheel.entry_points.values()}
    for package in sorted(wheel.packages | packages):
        if fault := manifest.import_name_fault(package):
            raise _unusable(f"{name} cannot be installed: its package {fault}.")
        if owner := host.owner_of(package):
            raise _unusable(
                f"{name} cannot be installed: its package {package} is reserved, because "
                f"{owner} already provides it. Its author has to choose another name."
            )
    if not editable:
        _check_path_files(name, wheel, "")
    _check_names_differ(name, wheel)
    for other, facts in others.items():
        if shared := wheel.packages & facts.packages:
            raise _unusable(
                f"{name} cannot be installed: {other} also provides the package "
                f"{min(shared)}. Uninstall one of the two."
            )


def check_brought(wheels: Mapping[str, WheelFacts], extensions: Collection[str]) -> None:
    """Refuse packages that would write into an extension, or run code at every start.

    :param wheels: everything that will be installed, the extensions included.
    :raises Conflict: ``extension_load_failed``.
    """
    for name in sorted(wheels.keys() - extensions):
        _check_path_files(name, wheels[name], "__editable__")
        for extension in extensions:
            if shared := wheels[name].packages & wheels[extension].packages:
                raise _unusable(
                    f"{name} cannot be installed: {extension} also provides the package "
                    f"{min(shared)}. Install what does not need {name}."
                )


def _check_comes_from_the_index(name: str, requirement: Requirement) -> None:
    if requirement.url:
        raise _unusable(
            f"{name} cannot be installed: its dependency {requirement.name} comes from an "
            "address. Publish it as a package and name a version."
        )


def _check_path_files(name: str, wheel: WheelFacts, prefix: str) -> None:
    for member in wheel.members:
        file = place(member)
        if "/" not in file and file.endswith(".pth") and file.startswith(prefix):
            raise _unusable(
                f"{name} cannot be installed: it has the path file {file}, which is for Python's "
                "own folders. Its author has to leave that out."
            )


def _check_names_differ(name: str, wheel: WheelFacts) -> None:
    """Refuse names that are one and the same on other machines."""
    seen: dict[str, str] = {}
    for member in wheel.members:
        other = seen.setdefault(unicodedata.normalize("NFC", member).casefold(), member)
        if other != member:
            raise _unusable(
                f"{name} cannot be installed: {other!a} and {member!a} differ only in case or "
                "accents. Its author has to rename one."
            )


def check_fits_together(wheels: Mapping[str, WheelFacts], host: HostPackages) -> None:
    """Refuse a set in which something lacks what it needs, or has another version of it.

    :raises Conflict: ``dependency_conflict``, naming every pair.
    """
    conflicts = []
    for name, wheel in sorted(wheels.items()):
        for requirement in filter(applies, wheel.requirements):
            needed = canonicalize_name(requirement.name)
            found = wheels.get(needed)
            version = host.version(needed) or (found.version if found else None)
            if version is None:
                conflicts.append(f"{name} needs {requirement}, which is missing")
            elif not requirement.specifier.contains(version, prereleases=True):
                conflicts.append(f"{name} needs {requirement}, not {version}")
    if conflicts:
        raise Conflict(
            f"The packages do not fit together: {'; '.join(conflicts)}. "
            "Keep the releases that fit, or update the others too.",
            code="dependency_conflict",
            conflicts=conflicts,
        )


def _unusable(reason: str) -> Conflict:
    return Conflict(reason, code="extension_load_failed", status_reason=reason)
