"""Making this machine what ``extensions.lock`` says, wherever the file was written."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tinybase.config import Config
from tinybase.errors import ConfigError, Conflict, NotFound, TinyBaseError, Unavailable
from tinybase.packages import candidates
from tinybase.packages.addresses import GitSource, IndexSource, Source
from tinybase.packages.candidates import Candidate
from tinybase.packages.changes import Change
from tinybase.packages.environment import HostPackages
from tinybase.packages.integrity import damage
from tinybase.packages.lock import FILE_NAME, Lock, LockedExtension, LockedWheel
from tinybase.packages.pip import Resolved
from tinybase.packages.pipeline import Pipeline, Progress, silent
from tinybase.packages.soundness import check_contents, made_for_others, misfits, unsound
from tinybase.packages.sources import source_of
from tinybase.packages.wheels import read_wheel, sha256
from tinybase.packages.workshop import Workshop


@dataclass(frozen=True, slots=True)
class SyncPlan:
    """What would change.

    ``builds`` are the extensions and packages whose own build code would run. ``repairs``
    says what is damaged here and would be as it was.
    """

    changes: tuple[Change, ...]
    builds: tuple[str, ...]
    repairs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Synced:
    """What has changed; ``adapted`` says why the lock had to be changed for this machine.

    ``repaired`` says what was damaged.
    """

    changes: tuple[Change, ...]
    adapted: tuple[str, ...]
    repaired: tuple[str, ...]


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
        :raises Invalid: ``manifest_invalid``, for a wheel that must not be installed.
        """
        with self._pipeline.alone("extensions sync"), ExitStack() as stack:
            wanted = self._read()
            changes = self._pipeline.changes_to(wanted)
            repairs = tuple(self._damage(wanted))
            if not changes and not repairs:
                return Synced((), (), ())
            confirm(SyncPlan(changes, tuple(self._builds(wanted)), repairs))
            progress("Getting what is locked")
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tinybase-")))
            workshop = stack.enter_context(self._pipeline.workshop(Lock()))
            fitting, reasons = self._bring(wanted, workshop, folder, progress)
            unfit = self._misfits(fitting) if fitting else []
            reasons += unfit
            if reasons and frozen:
                raise Conflict(
                    f"extensions.lock does not fit this machine: {'; '.join(reasons)}. Run "
                    "tinybase extensions sync without --frozen and keep the lock that it writes.",
                    code="dependency_conflict",
                    conflicts=reasons,
                )
            if fitting is None or unfit:
                progress("Finding what fits this machine")
                fitting = self._adapted(wanted, stack)
            self._check_contents(fitting)
            changes = self._pipeline.changes_to(fitting)
            if changes or self._is_set_damaged():
                progress("Trying it out")
                self._pipeline.put_in_force(fitting, workshop, purpose="extensions sync")
        return Synced(changes, tuple(reasons), repairs)

    # --- how -------------------------------------------------------------------------

    def _read(self) -> Lock:
        path = self._config.instance / FILE_NAME
        if not path.is_file():
            raise NotFound(
                f"There is no {FILE_NAME} in {self._config.instance}. Put the one of the other "
                "machine there, for example with git."
            )
        lock = Lock.read(path)
        if name := unsound(lock):
            raise ConfigError(
                f"{path} is damaged (what it says of {name} cannot be right). Restore it from a "
                "backup."
            )
        return lock

    def _damage(self, wanted: Lock) -> Iterator[str]:
        """Say what is not as it was installed, of what shall stay."""
        locked = self._pipeline.lock().wheels()
        for name, wheel in sorted(locked.items()):
            if wanted.wheels().get(name) == wheel and not self._pipeline.store.has(wheel):
                yield f"the wheel of {name}"
        current = self._pipeline.generations.current()
        if current is not None:
            yield from (f"{item} in the set" for item in damage(current, locked))

    def _is_set_damaged(self) -> bool:
        current = self._pipeline.generations.current()
        return current is None or any(damage(current, self._pipeline.lock().wheels()))

    def _builds(self, wanted: Lock) -> Iterator[str]:
        """Name what has to be built here because only its source can be had."""
        for name, wheel in sorted(wanted.wheels().items()):
            extension = wanted.extensions.get(name)
            is_built = extension is not None and extension.layout == candidates.PYPROJECT
            if (is_built or wheel.built_from) and not self._pipeline.store.has(wheel):
                yield name

    def _bring(
        self, wanted: Lock, workshop: Workshop, folder: Path, progress: Progress
    ) -> tuple[Lock | None, list[str]]:
        """Get every wheel that is not here.

        Return the lock with what was built here in the place of what is built elsewhere, and
        say how the two differ; ``None`` where something cannot be used on this machine.

        :raises Conflict: for one that is not the one that was locked.
        """
        store = self._pipeline.store
        if reasons := list(made_for_others(wanted.wheels().values())):
            return None, reasons
        absent = {k: v for k, v in wanted.wheels().items() if not store.has(v)}
        own = {
            name
            for name, item in wanted.extensions.items()
            if name in absent and item.source != IndexSource.kind
        }
        found = self._from_index(
            {k: v for k, v in absent.items() if k not in own}, workshop, folder
        )
        for name in sorted(own):
            progress(f"Getting {name}")
            found[name] = self._from_source(wanted.extensions[name], workshop, folder)
        fitting = wanted
        for name, path in found.items():
            wheel = absent[name]
            if (digest := sha256(path)) != wheel.sha256:
                # The commit or the digest proves the source; only what was made of it differs.
                reasons.append(f"{name} gives another wheel when it is built here")
                wheel = replace(wheel, file=path.name, sha256=digest)
                fitting = _with_wheel(fitting, name, wheel)
            store.add(path, wheel)
        return fitting, reasons

    def _from_index(
        self, wheels: Mapping[str, LockedWheel], workshop: Workshop, folder: Path
    ) -> dict[str, Path]:
        """Get wheels, or build them from the source archives that they were built from.

        pip compares the digests of what it gets, of a wheel or of a source.
        """
        ready = {name: wheel for name, wheel in wheels.items() if not wheel.built_from}
        built = {name: wheel for name, wheel in wheels.items() if wheel.built_from}
        for number, (some, is_source) in enumerate(((ready, False), (built, True))):
            into = folder / f"index-{number}"
            into.mkdir()
            packages = [_exactly(name, wheel) for name, wheel in some.items()]
            _download(packages, workshop, into, from_source=is_source)
        return {read_wheel(path).name: path for path in folder.glob("index-*/*")}

    def _from_source(self, item: LockedExtension, workshop: Workshop, folder: Path) -> Path:
        """Build the wheel of an extension that is not from the index.

        :raises Conflict: for one whose source is not proved to be the same.
        """
        candidate = workshop.obtain(_source(item))
        inner = Path(tempfile.mkdtemp(dir=folder))
        built = candidates.build(candidate, workshop.pip, inner).wheel
        if built is None or (item.source != GitSource.kind and sha256(built) != item.wheel.sha256):
            raise _not_as_locked(item.address)
        return built

    def _misfits(self, wanted: Lock) -> list[str]:
        """Say why this Python or this TinyBase cannot use what is locked."""
        wheels = {k: read_wheel(self._pipeline.store.path(v)) for k, v in wanted.wheels().items()}
        return misfits(wheels, HostPackages(self._config.instance))

    def _check_contents(self, wanted: Lock) -> None:
        store = self._pipeline.store
        wheels = {name: store.path(wheel) for name, wheel in wanted.wheels().items()}
        check_contents(wanted, wheels, HostPackages(self._config.instance))

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


def _with_wheel(lock: Lock, name: str, wheel: LockedWheel) -> Lock:
    if name not in lock.extensions:
        return replace(lock, packages={**lock.packages, name: wheel})
    item = replace(lock.extensions[name], wheel=wheel)
    return replace(lock, extensions={**lock.extensions, name: item})


def _download(
    packages: Sequence[Resolved], workshop: Workshop, folder: Path, *, from_source: bool
) -> None:
    try:
        workshop.pip.wheels(packages, folder, from_source=from_source)
    except Unavailable:
        raise
    except TinyBaseError as error:
        raise Conflict(
            f"The package index does not have what is locked. {error.detail} A bundle of the "
            "other machine has it: tinybase extensions bundle.",
            code="dependency_conflict",
            conflicts=[item.requirement for item in packages],
        ) from error


def _exactly(name: str, wheel: LockedWheel) -> Resolved:
    digest = wheel.built_from or wheel.sha256
    return Resolved(name, wheel.version, "", "", f"{name}=={wheel.version}", digest)


def _count(candidate: Candidate, others: Mapping[str, Candidate]) -> int:
    """Return how many of the others a candidate needs itself."""
    needed = {
        canonicalize_name(Requirement(text).name) for text in candidate.known.requirements or ()
    }
    return len(needed & others.keys())


def _not_as_locked(what: str) -> Conflict:
    return Conflict(
        f"{what} is not what was locked: its content is another one. Restore the original, or "
        "install the extension anew where the lock comes from.",
        code="dependency_conflict",
        conflicts=[what],
    )
