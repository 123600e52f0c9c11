"""Preparing a change of the installed set in a temporary folder."""

from __future__ import annotations

import platform
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tinybase._version import __version__
from tinybase.config import Config
from tinybase.db import format_time, utcnow
from tinybase.errors import Conflict
from tinybase.packages import candidates, manifest
from tinybase.packages.addresses import GitSource, IndexSource, Source
from tinybase.packages.candidates import Candidate, Known
from tinybase.packages.checks import check_brought, check_fits_host, check_is_new, check_wheel
from tinybase.packages.closure import applies, needed_by
from tinybase.packages.environment import HostPackages
from tinybase.packages.inspection import (
    Inspection,
    compare,
    inspect_flat,
    inspect_project,
    inspect_wheel,
)
from tinybase.packages.lock import Lock, LockedExtension, LockedWheel
from tinybase.packages.pip import Pip, Resolved
from tinybase.packages.plan import Plan, PlannedPackage
from tinybase.packages.sources import source_of
from tinybase.packages.store import WheelStore
from tinybase.packages.wheels import WheelFacts, read_wheel, sha256


@dataclass(frozen=True, slots=True)
class _Resolution:
    """Packages that fit together, and the folder with the wheels that are there already."""

    links: Path
    packages: list[Resolved]


class Workshop:
    """One change: what is there, what shall be added, and the folder for the work.

    :param lock: what is installed.
    :param store: where the wheels of what is installed are, and where new ones go.
    :param prefer: the versions that packages shall have if they can.
    """

    def __init__(
        self,
        folder: Path,
        config: Config,
        lock: Lock,
        store: WheelStore,
        prefer: Mapping[str, str] | None = None,
    ) -> None:
        self._folder = folder
        self._config = config
        self._lock = lock
        self._store = store
        self._prefer = dict(prefer or {})
        self._host = HostPackages(config.instance)
        self._foreseen: _Resolution | None = None
        self.pip = Pip(self._new_folder("pip"))

    def obtain(self, source: Source) -> Candidate:
        """Bring an extension here and check what can be checked without running it."""
        candidate = self._bring(source)
        self._check(candidate)
        return candidate

    def plan(self, candidate: Candidate) -> Plan:
        """Find out what installing it would add, and read its source; no foreign code runs."""
        added = self._foresee(candidate)
        wheel, source = candidate.wheel, candidate.source
        if added and isinstance(source, IndexSource):
            own = next(item for item in added if item.name == source.name)
            wheel = self._download(own)
            candidate = replace(candidate, known=_of_index(candidate.known, own))
        return replace(
            _plan(candidate, inspection=_inspect(candidate, wheel)),
            runs_build_code=candidate.runs_build_code or added is None,
            packages=_planned(added, candidate.known.name, self._lock),
        )

    def survey(self, source: Source) -> Plan:
        """Plan what may turn out not to fit, which is then part of the plan."""
        candidate = self._bring(source)
        try:
            self._check(candidate)
            return self.plan(candidate)
        except Conflict as error:
            if error.code != "dependency_conflict":
                raise
            return replace(
                _plan(candidate, inspection=_inspect(candidate, candidate.wheel)),
                conflicts=tuple(error.members.get("conflicts", ())),
                obstacle=error.detail,
            )

    def complete(self, candidate: Candidate) -> Lock:
        """Get everything that the extension needs and return the lock with it.

        Wheels that are not there yet are built, which may run foreign code.
        """
        found = self._foreseen
        if found is None:
            candidate = candidates.build(candidate, self.pip, self._folder)
            self._check(candidate)
            links = self._links(candidate)
            root = _root(candidate, links) or str(candidate.source)
            found = _Resolution(links, self._resolve(candidate, root, links, only_wheels=False))
        here = {(facts.name, facts.version) for _, facts in _wheels_in(found.links)}
        absent = [item for item in found.packages if (item.name, item.version) not in here]
        self.pip.wheels(absent, found.links)
        return self._locked(candidate, found)

    def compare_with_built(self, plan: Plan, built: LockedExtension) -> Plan | None:
        """Return the plan as it is now if a build made more of the source than it showed."""
        if plan.inspection is None or plan.layout != candidates.PYPROJECT or plan.editable:
            return None
        found = inspect_wheel(self._store.path(built.wheel))
        changes = compare(plan.inspection, found)
        if not (changes.powers or changes.unread or changes.opened):
            return None
        return replace(plan, inspection=found)

    def links(self, wheels: Iterable[LockedWheel]) -> Path:
        """Return a folder with some wheels of the store."""
        folder = self._new_folder("links")
        for wheel in wheels:
            self._store.link(wheel, folder)
        return folder

    def _bring(self, source: Source) -> Candidate:
        folder = self._new_folder("candidate")
        return candidates.obtain(source, folder, protocols=self._config.extensions.git_protocols)

    def _download(self, package: Resolved) -> Path:
        """Get the wheel of a package, and keep it for the installation."""
        links = self._foreseen.links if self._foreseen else self._new_folder("download")
        wheels = {facts.name: path for path, facts in _wheels_in(links)}
        if package.name not in wheels:
            self.pip.wheels([package], links)
            wheels = {facts.name: path for path, facts in _wheels_in(links)}
        return wheels[package.name]

    def _new_folder(self, name: str) -> Path:
        taken = sum(path.name.startswith(name) for path in self._folder.iterdir())
        folder = self._folder / f"{name}-{taken}"
        folder.mkdir()
        return folder

    def _check(self, candidate: Candidate) -> None:
        known = candidate.known
        if known.name:
            check_is_new(known.name, self._lock, self._host)
        if known.name and known.requirements is not None:
            check_fits_host(known.name, known.requirements, self._host)
        if candidate.wheel is not None:
            check_wheel(
                known.name,
                read_wheel(candidate.wheel),
                self._host,
                self._installed(),
                editable=candidate.is_editable,
            )

    def _installed(self) -> dict[str, WheelFacts]:
        return {
            name: read_wheel(self._store.path(wheel)) for name, wheel in self._lock.wheels().items()
        }

    def _foresee(self, candidate: Candidate) -> list[Resolved] | None:
        """Resolve without building anything; ``None`` when only a build can tell."""
        links = self._links(candidate)
        root = _root(candidate, links)
        if candidate.layout == candidates.PYPROJECT:
            root = candidates.stand_in(candidate, links)
        if root is None:
            return None
        try:
            packages = self._resolve(candidate, root, links, only_wheels=True)
        except Conflict as error:
            # What is missing as a wheel may be there as something to build.
            if error.members.get("missing"):
                return None
            raise
        if candidate.layout != candidates.PYPROJECT:
            self._foreseen = _Resolution(links, packages)
        return packages

    def _links(self, candidate: Candidate) -> Path:
        """Return a folder with the wheels of everything installed, and the new one."""
        folder = self.links(self._lock.wheels().values())
        if candidate.wheel is not None:
            (folder / candidate.wheel.name).hardlink_to(candidate.wheel)
        return folder

    def _resolve(
        self, candidate: Candidate, root: Path | str, links: Path, *, only_wheels: bool
    ) -> list[Resolved]:
        """Resolve with as little change as possible, and without pip if that works.

        What is installed already goes in as files: the index may have something else under
        the same names.
        """
        if self._has_all_of(candidate):
            return [_as_resolved(facts) for _, facts in _wheels_in(links)]
        roots = [str(root), *(str(links / e.wheel.file) for e in self._lock.extensions.values())]
        fixed = self._host.constraints()
        locked = {name: wheel.version for name, wheel in self._lock.packages.items()}
        pinned = self._prefer | locked
        resolve = partial(self.pip.resolve, roots, links=links, only_wheels=only_wheels)
        while True:
            try:
                return resolve(constraints=fixed | pinned)
            except Conflict as error:
                if not pinned:
                    raise
                in_the_way = _named_by(error) & pinned.keys() or pinned.keys()
                pinned = {key: pinned[key] for key in pinned.keys() - in_the_way}

    def _from_index(self, candidate: Candidate) -> Iterable[IndexSource]:
        locked = self._lock.extensions.values()
        sources = [source_of(item) for item in locked if item.source == IndexSource.kind]
        return [item for item in (*sources, candidate.source) if isinstance(item, IndexSource)]

    def _has_all_of(self, candidate: Candidate) -> bool:
        """Say whether what is in the host and installed already is all that it needs."""
        if candidate.known.requirements is None:
            return False
        wheels = self._lock.wheels()
        for requirement in map(Requirement, candidate.known.requirements):
            name = canonicalize_name(requirement.name)
            version = self._host.version(name) or (wheels[name].version if name in wheels else None)
            if applies(requirement) and (
                version is None
                or requirement.extras
                or requirement.url
                or not requirement.specifier.contains(version, prereleases=True)
            ):
                return False
        return True

    def _locked(self, candidate: Candidate, found: _Resolution) -> Lock:
        """Put the new set down, and its wheels into the store."""
        wanted = {item.name: item.version for item in found.packages}
        files = {
            facts.name: (path, facts)
            for path, facts in _wheels_in(found.links)
            if wanted.get(facts.name) == facts.version
        }
        facts = {name: item[1] for name, item in files.items()}
        if missing := sorted(wanted.keys() - facts.keys()):
            raise Conflict(
                f"pip did not bring {', '.join(missing)} as it promised. Try again.",
                code="dependency_conflict",
            )
        name = candidate.known.name
        check_wheel(
            name,
            facts[name],
            self._host,
            {key: facts[key] for key in facts if key != name},
            editable=candidate.is_editable,
        )
        roots = sorted({name, *self._lock.extensions})
        check_brought(facts, roots)
        extras = {item.name: item.requirement.extras for item in self._from_index(candidate)}
        needs = {root: needed_by(root, facts, extras.get(root, ())) for root in roots}
        locked = {}
        for key, (path, item) in sorted(files.items()):
            users = tuple(root for root in roots if key in needs[root])
            if not users and key not in roots:
                continue
            digest = sha256(path)
            origin = self._built_from(key, digest, found.packages)
            locked[key] = LockedWheel(item.version, path.name, digest, users, origin)
            self._store.add(path, locked[key])
        extension = _locked_extension(candidate, facts[name], locked[name])
        return Lock(
            extensions={**self._lock.extensions, name: extension},
            packages={key: item for key, item in locked.items() if key not in roots},
            tinybase=__version__,
            python=platform.python_version(),
        )

    def _built_from(self, name: str, digest: str, packages: Iterable[Resolved]) -> str | None:
        """Return the digest of the source archive that the index has in the place of a wheel."""
        known = self._lock.wheels().get(name)
        if known is not None and known.sha256 == digest:
            return known.built_from
        archives = (item.sha256 for item in packages if item.name == name and item.from_index)
        archive = next(archives, None)
        return archive if archive != digest else None


def _inspect(candidate: Candidate, wheel: Path | None) -> Inspection | None:
    """Read the source of an extension, unless only a build would bring it."""
    root = candidate.root
    if root is not None and candidate.layout == candidates.FLAT:
        return inspect_flat(root, manifest.read(root).package)
    if root is not None:
        return inspect_project(root)
    return inspect_wheel(wheel) if wheel else None


def _plan(candidate: Candidate, *, inspection: Inspection | None) -> Plan:
    known, source = candidate.known, candidate.source
    return Plan(
        name=known.name,
        version=known.version,
        description=known.description,
        author=known.author,
        license=known.license,
        source=source.kind,
        address=source.address,
        subdirectory=source.subdirectory,
        ref=candidate.ref,
        commit=candidate.commit,
        layout=candidate.layout,
        editable=candidate.is_editable,
        runs_build_code=candidate.runs_build_code,
        packages=(),
        inspection=inspection,
    )


def _of_index(known: Known, own: Resolved) -> Known:
    return replace(known, version=own.version, description=own.description, author=own.author)


def _root(candidate: Candidate, links: Path) -> Path | str | None:
    """Return what pip shall install for a candidate, once there is something to install."""
    if isinstance(candidate.source, IndexSource):
        return candidate.source.address
    return links / candidate.wheel.name if candidate.wheel else None


def _named_by(error: Conflict) -> set[str]:
    """Return the packages whose pinned versions pip says are in the way."""
    lines = [*error.members.get("conflicts", ()), error.members.get("missing", "")]
    pins = (re.findall(r"\(constraint\) (\S+?)==|^([\w.-]+)[=<>~!]", line) for line in lines)
    return {canonicalize_name(one or two) for found in pins for one, two in found}


def _as_resolved(facts: WheelFacts) -> Resolved:
    return Resolved(facts.name, facts.version, facts.description, facts.author)


def _planned(
    added: list[Resolved] | None, name: str, lock: Lock
) -> tuple[PlannedPackage, ...] | None:
    if added is None:
        return None
    installed = {key: wheel.version for key, wheel in lock.wheels().items()}
    return tuple(
        PlannedPackage(
            item.name, item.version, item.description, "change" if item.name in installed else "add"
        )
        for item in sorted(added, key=lambda item: item.name)
        if item.name != name and installed.get(item.name) != item.version
    )


def _wheels_in(folder: Path) -> Iterable[tuple[Path, WheelFacts]]:
    for path in folder.iterdir():
        yield path, read_wheel(path)


def _locked_extension(
    candidate: Candidate, facts: WheelFacts, wheel: LockedWheel
) -> LockedExtension:
    source, now = candidate.source, format_time(utcnow())
    return LockedExtension(
        version=facts.version,
        source=source.kind,
        address=source.address,
        subdirectory=source.subdirectory,
        requested_ref=source.ref,
        ref=candidate.ref,
        commit=candidate.commit,
        layout=candidate.layout,
        editable=candidate.is_editable,
        wheel=wheel,
        description=facts.description,
        author=facts.author,
        license=facts.license,
        installed_at=now,
        updated_at=now,
        transport=source.transport if isinstance(source, GitSource) else "https",
    )
