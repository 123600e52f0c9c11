"""Carrying the extensions of one instance to another one, by a file and without a network."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from tinybase.config import Config
from tinybase.errors import BadRequest, Conflict, NotFound
from tinybase.packages.bundle import unpack_bundle, write_bundle
from tinybase.packages.changes import Change
from tinybase.packages.closure import applies
from tinybase.packages.environment import HostPackages
from tinybase.packages.inspection import Changes, compare, inspect_wheel
from tinybase.packages.lock import Lock, LockedExtension
from tinybase.packages.pipeline import Pipeline, Progress, silent
from tinybase.packages.plan import Plan, PlannedPackage
from tinybase.packages.soundness import check_contents, made_for_others, misfits
from tinybase.packages.wheels import WheelFacts, read_wheel


@dataclass(frozen=True, slots=True)
class Bundled:
    """A bundle that was written.

    ``extensions`` and ``packages`` are versions by name. ``expects`` names the packages that
    are needed and come from the environment of TinyBase here, although TinyBase itself does
    without them: the other machine has to have them too.
    """

    file: str
    sha256: str
    size: int
    extensions: Mapping[str, str]
    packages: Mapping[str, str]
    expects: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class BundledUpdate:
    """An extension that would become another release; ``changes`` is what its code does."""

    name: str
    before: str
    after: str
    changes: Changes


@dataclass(frozen=True, slots=True)
class BundlePlan:
    """What installing a bundle would do, before any code of it has run.

    ``new`` are the extensions that were not there.
    """

    changes: tuple[Change, ...]
    new: tuple[Plan, ...]
    updates: tuple[BundledUpdate, ...]


Confirm = Callable[[BundlePlan], object]


class Bundles:
    """Makes and takes bundles for one instance."""

    def __init__(self, pipeline: Pipeline, config: Config) -> None:
        self._pipeline = pipeline
        self._config = config

    def write(self, path: Path) -> Bundled:
        """Write everything that is installed into a new file.

        :raises NotFound: when nothing is installed.
        :raises Conflict: when an extension is editable, a wheel is damaged, or there is such
            a file; ``install_in_progress``.
        """
        with self._pipeline.alone("extensions bundle"):
            lock = self._pipeline.lock()
            self._check_can_travel(lock)
            if path.exists():
                raise Conflict(f"{path} is there already. Remove it, or name another file.")
            store = self._pipeline.store
            wheels = {name: store.path(wheel) for name, wheel in lock.wheels().items()}
            digest = write_bundle(path, lock, wheels)
            expects = _expected(
                {name: read_wheel(item) for name, item in wheels.items()}, self._host
            )
        return Bundled(
            file=str(path),
            sha256=digest,
            size=path.stat().st_size,
            extensions={name: item.version for name, item in sorted(lock.extensions.items())},
            packages={name: item.version for name, item in sorted(lock.packages.items())},
            expects=tuple(expects),
        )

    def plan(self, path: Path) -> BundlePlan:
        """Return what :meth:`install` would do, and raise as it does; nothing is changed."""
        self._pipeline.recover_if_idle()
        with self._unpacked(path) as (lock, folder):
            return self._plan(lock, folder)

    def install(
        self, path: Path, *, confirm: Confirm = silent, progress: Progress = silent
    ) -> tuple[Change, ...]:
        """Make the set of a bundle the one in force; nothing is fetched or built.

        What is installed and not in the bundle goes.

        :param confirm: is shown the plan before any code of the bundle runs, and raises to
            stop.
        :raises BadRequest: ``invalid_source``, for a file that is no sound bundle.
        :raises Conflict: ``dependency_conflict``, when it does not fit this machine;
            ``extension_exists``; ``extension_load_failed``; ``install_in_progress``.
        :raises Invalid: ``manifest_invalid``, for a wheel that must not be installed.
        """
        purpose = "extensions install --from-bundle"
        with self._pipeline.alone(purpose), self._pipeline.workshop() as workshop:
            progress(f"Reading {path}")
            with self._unpacked(path) as (lock, folder):
                plan = self._plan(lock, folder)
                if not plan.changes:
                    return ()
                confirm(plan)
                for wheel in lock.wheels().values():
                    self._pipeline.store.add(folder / wheel.file, wheel)
            progress("Trying it out")
            self._pipeline.put_in_force(lock, workshop, purpose=purpose)
        return plan.changes

    # --- how -------------------------------------------------------------------------

    @property
    def _host(self) -> HostPackages:
        return HostPackages(self._config.instance)

    def _check_can_travel(self, lock: Lock) -> None:
        if not lock.extensions:
            raise NotFound("There are no extensions to put into a bundle.")
        for name, item in lock.extensions.items():
            if item.editable:
                raise Conflict(
                    f"{name} is imported from {item.address}, which a bundle cannot carry. "
                    f"Uninstall it, and install it without --editable."
                )
        for name, wheel in lock.wheels().items():
            if not self._pipeline.store.has(wheel):
                raise Conflict(
                    f"The wheel of {name} is damaged or missing. Run tinybase extensions sync."
                )

    @contextmanager
    def _unpacked(self, path: Path) -> Iterator[tuple[Lock, Path]]:
        if not path.is_file():
            raise BadRequest(f"{path} is no file. Check the path.", code="invalid_source")
        with tempfile.TemporaryDirectory(prefix="tinybase-bundle-") as name:
            folder = Path(name)
            lock = unpack_bundle(path, folder)
            self._check_fits(path, lock, folder)
            yield lock, folder

    def _check_fits(self, path: Path, lock: Lock, folder: Path) -> None:
        wheels = {name: folder / wheel.file for name, wheel in lock.wheels().items()}
        facts = {name: read_wheel(wheel) for name, wheel in wheels.items()}
        host = self._host
        if reasons := [*made_for_others(lock.wheels().values()), *misfits(facts, host)]:
            raise Conflict(
                f"{path} does not fit this machine: {'; '.join(reasons)}. Make the bundle on a "
                "machine with the same system, Python and TinyBase.",
                code="dependency_conflict",
                conflicts=reasons,
            )
        for name in sorted(lock.extensions):
            if version := host.version(name):
                raise Conflict(
                    f"{name} {version} is already installed in the environment of TinyBase. "
                    f"Run pip uninstall {name} first.",
                    code="extension_exists",
                )
        check_contents(lock, wheels, host)

    def _plan(self, lock: Lock, folder: Path) -> BundlePlan:
        before = self._pipeline.lock()
        changes = self._pipeline.changes_to(lock)
        moved = {change.name for change in changes if change.kind == "extension"}
        new, updates = [], []
        for name in sorted(moved & lock.extensions.keys()):
            item = lock.extensions[name]
            old = before.extensions.get(name)
            if old is None or not self._pipeline.store.has(old.wheel):
                new.append(_planned(name, lock, before, folder))
                continue
            after = inspect_wheel(folder / item.wheel.file)
            difference = compare(inspect_wheel(self._pipeline.store.path(old.wheel)), after)
            updates.append(BundledUpdate(name, old.version, item.version, difference))
        return BundlePlan(changes, tuple(new), tuple(updates))


def _planned(name: str, lock: Lock, before: Lock, folder: Path) -> Plan:
    item: LockedExtension = lock.extensions[name]
    wheel = folder / item.wheel.file
    facts = read_wheel(wheel)
    here = {key: found.version for key, found in before.wheels().items()}
    return Plan(
        name=name,
        version=facts.version,
        description=facts.description,
        author=facts.author,
        license=facts.license,
        source=item.source,
        address=item.address,
        subdirectory=item.subdirectory,
        ref=item.ref,
        commit=item.commit,
        layout=item.layout,
        editable=False,
        # That was done where the bundle was made.
        runs_build_code=False,
        packages=tuple(
            PlannedPackage(
                key,
                package.version,
                read_wheel(folder / package.file).description,
                "change" if key in here else "add",
            )
            for key, package in sorted(lock.packages.items())
            if name in package.required_by and here.get(key) != package.version
        ),
        inspection=inspect_wheel(wheel),
    )


def _expected(wheels: Mapping[str, WheelFacts], host: HostPackages) -> list[str]:
    """Return what a set needs of the environment beyond what every TinyBase brings."""
    needed = {
        canonicalize_name(requirement.name)
        for facts in wheels.values()
        for requirement in filter(applies, facts.requirements)
    }
    return sorted(needed - wheels.keys() - host.brought_by("tinybase"))
