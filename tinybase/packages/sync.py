"""Making this machine what ``extensions.lock`` says, wherever the file was written."""

from __future__ import annotations

import platform
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.tags import sys_tags
from packaging.utils import (
    InvalidWheelFilename,
    NormalizedName,
    canonicalize_name,
    parse_wheel_filename,
)
from packaging.version import Version

from tinybase.config import Config
from tinybase.errors import ConfigError, Conflict, NotFound, TinyBaseError, Unavailable
from tinybase.packages import candidates
from tinybase.packages.addresses import GitSource, IndexSource, Source
from tinybase.packages.candidates import Candidate
from tinybase.packages.changes import Change
from tinybase.packages.checks import check_fits_together
from tinybase.packages.environment import HostPackages
from tinybase.packages.lock import FILE_NAME, Lock, LockedExtension, LockedWheel
from tinybase.packages.pip import Resolved
from tinybase.packages.pipeline import Pipeline, Progress, silent
from tinybase.packages.sources import source_of
from tinybase.packages.wheels import read_wheel, sha256
from tinybase.packages.workshop import Workshop

_DIGEST = re.compile(r"[0-9a-f]{64}")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What would change, and the extensions whose own build code that would run."""

    changes: tuple[Change, ...]
    builds: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Synced:
    """What has changed; ``adapted`` says why the lock had to be changed for this machine."""

    changes: tuple[Change, ...]
    adapted: tuple[str, ...]


Confirm = Callable[[SyncPlan], object]


class Sync:
    """Follows the lock file of one instance."""

    def __init__(self, pipeline: Pipeline, config: Config) -> None:
        self._pipeline = pipeline
        self._config = config

    def sync(
        self, *, frozen: bool = False, confirm: Confirm = silent, progress: Progress = silent
    ) -> Synced:
        """Install exactly what the lock file says: its commits, its versions, its digests.

        :param frozen: refuse a lock that does not fit this machine, rather than to find
            what fits and write that down.
        :raises NotFound: when there is no lock file.
        :raises Conflict: ``dependency_conflict``, when what is locked cannot be had or, with
            ``frozen``, does not fit; ``extension_load_failed``; ``install_in_progress``.
        """
        with self._pipeline.alone("extensions sync"), ExitStack() as stack:
            wanted = self._read()
            changes = self._pipeline.changes_to(wanted)
            if not changes:
                return Synced((), ())
            confirm(SyncPlan(changes, tuple(self._builds(wanted))))
            progress("Getting what is locked")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tinybase-")))
            workshop = stack.enter_context(self._pipeline.workshop(Lock()))
            reasons = self._bring(wanted, workshop, folder)
            reasons = reasons or self._misfits(wanted)
            if reasons and frozen:
                raise Conflict(
                    f"extensions.lock does not fit this machine: {'; '.join(reasons)}. Run "
                    "tinybase extensions sync without --frozen and keep the lock that it writes.",
                    code="dependency_conflict",
                    conflicts=reasons,
                )
            if reasons:
                progress("Finding what fits this machine")
                wanted = self._adapted(wanted, stack)
                changes = self._pipeline.changes_to(wanted)
            progress("Trying it out")
            self._pipeline.put_in_force(wanted, workshop, purpose="extensions sync")
        return Synced(changes, tuple(reasons))

    # --- how -------------------------------------------------------------------------

    def _read(self) -> Lock:
        path = self._config.instance / FILE_NAME
        if not path.is_file():
            raise NotFound(
                f"There is no {FILE_NAME} in {self._config.instance}. Put the one of the other "
                "machine there, for example with git."
            )
        lock = Lock.read(path)
        for name, item in lock.extensions.items():
            _check_extension(path, name, item)
        for name, wheel in lock.packages.items():
            _check_wheel(path, name, wheel)
        return lock

    def _builds(self, wanted: Lock) -> Iterator[str]:
        for name, item in sorted(wanted.extensions.items()):
            if item.layout == candidates.PYPROJECT and not self._pipeline.store.has(item.wheel):
                yield name

    def _bring(self, wanted: Lock, workshop: Workshop, folder: Path) -> list[str]:
        """Get every wheel that is not here; say which of them this machine cannot use.

        :raises Conflict: for one that is not the one that was locked.
        """
        store = self._pipeline.store
        if reasons := list(_foreign(wanted.wheels().values())):
            return reasons
        absent = {k: v for k, v in wanted.wheels().items() if not store.has(v)}
        from_index = [
            _exactly(name, wheel)
            for name, wheel in absent.items()
            if name not in wanted.extensions or wanted.extensions[name].source == IndexSource.kind
        ]
        _download(from_index, workshop, folder)
        for path in folder.iterdir():
            wheel = wanted.wheels()[read_wheel(path).name]
            if sha256(path) != wheel.sha256:
                raise _not_as_locked(wheel.file)
            store.add(path, wheel)
        for name in sorted(absent.keys() & wanted.extensions.keys()):
            item = wanted.extensions[name]
            if item.source == IndexSource.kind:
                continue
            candidate = workshop.obtain(_source(item))
            with tempfile.TemporaryDirectory(dir=folder) as inner:
                built = candidates.build(candidate, workshop.pip, Path(inner)).wheel
                if built is None or sha256(built) != item.wheel.sha256:
                    if item.source != GitSource.kind:
                        raise _not_as_locked(item.address)
                    # The commit proves the source; only what was made of it differs.
                    reasons.append(f"{name} gives another wheel when it is built here")
                    continue
                store.add(built, item.wheel)
        return reasons

    def _misfits(self, wanted: Lock) -> list[str]:
        """Say why this Python or this TinyBase cannot use what is locked."""
        wheels = {k: read_wheel(self._pipeline.store.path(v)) for k, v in wanted.wheels().items()}
        python = platform.python_version()
        reasons = [
            f"{name} needs Python {wheel.requires_python}, not {python}"
            for name, wheel in wheels.items()
            if not _allows(wheel.requires_python, python)
        ]
        try:
            check_fits_together(wheels, HostPackages(self._config.instance))
        except Conflict as error:
            reasons += error.members["conflicts"]
        return reasons

    def _adapted(self, wanted: Lock, stack: ExitStack) -> Lock:
        """Return a lock of the same extensions, with packages that fit this machine.

        Their versions stay wherever they can.
        """
        versions = {name: wheel.version for name, wheel in wanted.packages.items()}
        first = stack.enter_context(self._pipeline.workshop(Lock()))
        found = {
            name: first.obtain(_source(item)) for name, item in sorted(wanted.extensions.items())
        }
        after = Lock()
        for name in sorted(found, key=lambda name: (_count(found[name], found), name)):
            workshop = stack.enter_context(self._pipeline.workshop(after, prefer=versions))
            after = workshop.complete(found[name])
            new = after.extensions[name]
            item = replace(
                wanted.extensions[name], wheel=new.wheel, layout=new.layout, version=new.version
            )
            after = replace(after, extensions={**after.extensions, name: item})
        return after


def _source(item: LockedExtension) -> Source:
    source = source_of(item, ref=item.ref)
    if isinstance(source, GitSource):
        return replace(source, ref=item.commit, known_as=item.ref)
    if isinstance(source, IndexSource):
        return IndexSource(Requirement(f"{source.requirement.name}=={item.version}"))
    return source


def _download(packages: Iterable[Resolved], workshop: Workshop, folder: Path) -> None:
    try:
        workshop.pip.wheels(packages, folder)
    except Unavailable:
        raise
    except TinyBaseError as error:
        raise Conflict(
            f"The package index does not have what is locked. {error.detail}",
            code="dependency_conflict",
            conflicts=[item.requirement for item in packages],
        ) from error


def _exactly(name: str, wheel: LockedWheel) -> Resolved:
    return Resolved(name, wheel.version, "", "", f"{name}=={wheel.version}", wheel.sha256)


def _count(candidate: Candidate, others: Mapping[str, Candidate]) -> int:
    """Return how many of the others a candidate needs itself."""
    needed = {
        canonicalize_name(Requirement(text).name) for text in candidate.known.requirements or ()
    }
    return len(needed & others.keys())


def _foreign(wheels: Iterable[LockedWheel]) -> Iterator[str]:
    """Yield what is made for other machines or other versions of Python."""
    here = set(sys_tags())
    for wheel in wheels:
        if here.isdisjoint(parse_wheel_filename(wheel.file)[3]):
            yield f"{wheel.file} is made for another machine or another Python"


def _allows(specifier: str, version: str) -> bool:
    try:
        return SpecifierSet(specifier).contains(version, prereleases=True)
    except InvalidSpecifier:
        return True


def _check_extension(path: Path, name: str, item: LockedExtension) -> None:
    _check_wheel(path, name, item.wheel)
    if item.commit is not None and not _COMMIT.fullmatch(item.commit):
        raise _unsound(path, name)
    if item.source == GitSource.kind and item.commit is None:
        raise _unsound(path, name)


def _check_wheel(path: Path, name: str, wheel: LockedWheel) -> None:
    """Refuse what could lead pip or us somewhere else: the file may come from anybody."""
    try:
        found: tuple[NormalizedName, Version] = parse_wheel_filename(wheel.file)[:2]
        is_sound = (
            found == (name, Version(wheel.version))
            and "/" not in wheel.file
            and "\\" not in wheel.file
            and wheel.version.strip() == wheel.version
            and bool(_DIGEST.fullmatch(wheel.sha256))
        )
    except (InvalidWheelFilename, ValueError, TypeError) as error:
        raise _unsound(path, name) from error
    if not is_sound:
        raise _unsound(path, name)


def _unsound(path: Path, name: str) -> ConfigError:
    return ConfigError(
        f"{path} is damaged (what it says of {name} cannot be right). Restore it from a backup."
    )


def _not_as_locked(what: str) -> Conflict:
    return Conflict(
        f"{what} is not what was locked: its content is another one. Restore the original, or "
        "install the extension anew where the lock comes from.",
        code="dependency_conflict",
        conflicts=[what],
    )
