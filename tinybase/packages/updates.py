"""Moving installed extensions to newer releases: only what has to move moves."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from tinybase.config import Config
from tinybase.errors import BadRequest, Conflict, NotFound, TinyBaseError, one_line
from tinybase.packages.addresses import FolderSource, GitSource, IndexSource, Source
from tinybase.packages.availability import Availability, KnownUpdates
from tinybase.packages.candidates import Candidate
from tinybase.packages.changes import Change
from tinybase.packages.checks import check_fits_together
from tinybase.packages.closure import needed_by
from tinybase.packages.configuration import Configuration, Given
from tinybase.packages.environment import HostPackages
from tinybase.packages.fetch import is_older_release, is_release, look_up
from tinybase.packages.inspection import Changes, compare, inspect_wheel
from tinybase.packages.lock import Lock, LockedExtension
from tinybase.packages.pipeline import Pipeline, Progress, Tried, Values, silent
from tinybase.packages.plan import Plan, PlannedPackage
from tinybase.packages.sources import source_of
from tinybase.packages.wheels import read_wheel, sha256
from tinybase.packages.workshop import Workshop

log = logging.getLogger(__name__)

_NOTHING: Final = Given()


@dataclass(frozen=True, slots=True)
class State:
    """What is or would be installed of an extension; an empty version is not known yet."""

    version: str
    ref: str | None
    commit: str | None


@dataclass(frozen=True, slots=True)
class PlannedUpdate:
    """One extension that would move, before any code of it has run.

    ``packages`` are those that come or change, and ``changes`` what its code does and did
    not do before; each is ``None`` where only a build can tell.
    """

    name: str
    before: State
    after: State
    runs_build_code: bool
    packages: tuple[PlannedPackage, ...] | None
    changes: Changes | None


@dataclass(frozen=True, slots=True)
class Kept:
    """One extension that stays as it is, and why."""

    name: str
    version: str
    reason: str


@dataclass(frozen=True, slots=True)
class UpdatePlan:
    """Everything that an update would do."""

    updates: tuple[PlannedUpdate, ...]
    kept: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class Updated:
    """What an update did."""

    changes: tuple[Change, ...]
    kept: tuple[Kept, ...]


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An extension on its way in, and where it was prepared against which set."""

    name: str
    candidate: Candidate
    plan: Plan
    base: Lock
    workshop: Workshop


Confirm = Callable[[UpdatePlan], object]


class Updates:
    """Newer releases of what is installed in one instance."""

    def __init__(self, pipeline: Pipeline, config: Config, configuration: Configuration) -> None:
        self._pipeline = pipeline
        self._config = config
        self._configuration = configuration
        self.known = KnownUpdates(pipeline.generations.folder)

    def plan(
        self, names: Sequence[str] = (), *, ref: str | None = None, progress: Progress = silent
    ) -> UpdatePlan:
        """Return what :meth:`update` would do; nothing is changed, no foreign code runs."""
        self._pipeline.recover_if_idle()
        lock = self._pipeline.lock()
        with ExitStack() as stack:
            prepared, kept = self._prepare(lock, names, ref, stack, progress)
            return self._planned(lock, prepared, kept)

    def update(
        self,
        names: Sequence[str] = (),
        *,
        ref: str | None = None,
        given: Given = _NOTHING,
        allow_needs_config: bool = False,
        confirm: Confirm = silent,
        progress: Progress = silent,
    ) -> Updated:
        """Move extensions to newer releases, all of them or none.

        :param names: which; all that do not stay at a ref by default.
        :param ref: where to move the one that is named; it stays there from then on.
        :param given: values for settings of the one that is named, set in the same step.
        :param allow_needs_config: also move one that runs and then waits for a setting.
        :param confirm: is shown the plan before any code of them runs, and raises to stop.
        :raises NotFound: if one of them is not installed.
        :raises Conflict: ``dependency_conflict``, ``extension_load_failed``,
            ``install_in_progress``; ``conflict``, when one would wait for a setting. Nothing
            was changed then.
        """
        if given and len(names) != 1:
            raise BadRequest("--set gives values to one extension. Name exactly one.")
        purpose = " ".join(["extensions update", *names])
        with self._pipeline.alone(purpose), ExitStack() as stack:
            lock = self._pipeline.lock()
            prepared, kept = self._prepare(lock, names, ref, stack, progress)
            if not prepared:
                _refuse_to_ignore(given, kept)
                return Updated((), kept)
            confirm(self._planned(lock, prepared, kept))
            progress("Getting the packages")
            after = self._complete(lock, prepared, stack)
            changes = self._pipeline.changes_to(after)
            if changes:
                progress("Trying it out")
                moved = [item.name for item in prepared]
                workshop = prepared[0].workshop
                agree = partial(self._agree, moved, given, allow_needs_config=allow_needs_config)
                self._pipeline.put_in_force(
                    after, workshop, purpose=purpose, insist=moved, agree=agree
                )
        return Updated(changes, kept)

    def check(self, *, progress: Progress = silent) -> list[Availability]:
        """Return for every extension whether there is something newer, and remember it."""
        self._pipeline.recover_if_idle()
        found = []
        lock = self._pipeline.lock()
        for name, item in sorted(lock.extensions.items()):
            progress(f"Asking for {name}")
            try:
                found.append(self._availability(name, item, lock))
            except TinyBaseError as error:
                unknown = Availability(name, item.version, "unknown", note=error.detail)
                found.append(unknown)
        self.known.keep(found)
        return found

    def look_in_background(self) -> None:
        """Have :meth:`check` done unless it was asked for within the last hour; never waits."""
        if self._pipeline.lock().extensions and self.known.is_time_to_ask():
            threading.Thread(target=self._look, name="tinybase-updates", daemon=True).start()

    def _look(self) -> None:
        try:
            self.check()
        except (TinyBaseError, OSError) as error:
            log.warning("could not find out what is newer: %s", one_line(error))

    def _agree(
        self, moved: Sequence[str], given: Given, tried: Tried, *, allow_needs_config: bool
    ) -> Values:
        """Return what is set together with an update, if what runs goes on running."""
        values = {}
        if given:
            values[moved[0]] = self._configuration.given_to(tried[moved[0]], given)
        if not allow_needs_config:
            states = (tried[name] for name in moved if name in tried)
            self._configuration.check_still_run(states, values)
        return values

    # --- how -------------------------------------------------------------------------

    def _prepare(
        self,
        lock: Lock,
        names: Sequence[str],
        ref: str | None,
        stack: ExitStack,
        progress: Progress,
    ) -> tuple[list[_Prepared], tuple[Kept, ...]]:
        """Bring what is newer here, without running anything of it."""
        reasons: dict[str, str] = {}
        moving: dict[str, Source] = {}
        for name in _chosen(lock, names, ref):
            item = lock.extensions[name]
            progress(f"Looking for a newer {name}")
            source = _source(item, ref)
            if reason := self._reason_to_stay(item, source, named=bool(names), ref=ref):
                reasons[name] = reason
            else:
                moving[name] = source
        base = _without(lock, moving)
        prepared = []
        for name, source in moving.items():
            progress(f"Fetching {source}")
            workshop = stack.enter_context(self._pipeline.workshop(base))
            candidate = workshop.obtain(source)
            _check_name(name, candidate)
            new = _Prepared(name, candidate, workshop.plan(candidate), base, workshop)
            if reason := _reason_it_is_the_same(lock.extensions[name], new):
                reasons[name] = reason
            else:
                prepared.append(new)
        kept = (Kept(name, lock.extensions[name].version, reasons[name]) for name in reasons)
        return prepared, tuple(sorted(kept, key=lambda item: item.name))

    def _reason_to_stay(
        self, item: LockedExtension, source: Source, *, named: bool, ref: str | None
    ) -> str:
        """Say why an extension stays, if that can be said without fetching anything."""
        if isinstance(source, GitSource):
            if ref is None and item.requested_ref is not None:
                return f"it was asked for at {item.requested_ref}; --ref moves it"
            found = look_up(source, protocols=self._config.extensions.git_protocols)
            if found.commit == item.commit:
                return "it is the newest" if ref is None else f"it is at {ref} already"
            if ref is None and is_older_release(found.ref, item.ref):
                return f"the newest release there is now, {found.ref}, is older"
            return ""
        if isinstance(source, IndexSource):
            return ""
        if item.editable:
            return "it is imported from where it is, so it is as new as its folder"
        kind = "folder" if isinstance(source, FolderSource) else "wheel"
        return "" if named else f"it comes from a {kind}; name it to take that again"

    def _availability(self, name: str, item: LockedExtension, lock: Lock) -> Availability:
        source = source_of(item)
        if isinstance(source, GitSource):
            found = look_up(source, protocols=self._config.extensions.git_protocols)
            if found.commit == item.commit or is_older_release(found.ref, item.ref):
                return Availability(name, item.version, "newest", found.ref)
            asked = item.requested_ref
            note = f"it was asked for at {asked}; --ref moves it" if asked else None
            latest = found.ref if is_release(found.ref) else f"{found.ref} {found.commit[:12]}"
            return Availability(name, item.version, "available", latest, note)
        if not isinstance(source, IndexSource):
            reason = "only repositories and the package index tell what is newer"
            return Availability(name, item.version, "unknown", note=reason)
        with self._pipeline.workshop(_without(lock, [name])) as workshop:
            latest = workshop.plan(workshop.obtain(source)).version
        if not latest:
            return Availability(name, item.version, "unknown", note="only a build would tell")
        is_newer = _is_older(item.version, latest)
        return Availability(name, item.version, "available" if is_newer else "newest", latest)

    def _planned(
        self, lock: Lock, prepared: Iterable[_Prepared], kept: tuple[Kept, ...]
    ) -> UpdatePlan:
        return UpdatePlan(
            tuple(self._planned_update(lock.extensions[item.name], item) for item in prepared), kept
        )

    def _planned_update(self, old: LockedExtension, item: _Prepared) -> PlannedUpdate:
        changes = None
        if item.plan.inspection is not None:
            before = inspect_wheel(self._pipeline.store.path(old.wheel))
            changes = compare(before, item.plan.inspection)
        return PlannedUpdate(
            name=item.name,
            before=State(old.version, old.ref, old.commit),
            after=State(item.plan.version, item.plan.ref, item.plan.commit),
            runs_build_code=item.plan.runs_build_code,
            packages=item.plan.packages,
            changes=changes,
        )

    def _complete(self, lock: Lock, prepared: Sequence[_Prepared], stack: ExitStack) -> Lock:
        """Return the set with everything that was prepared, one joining after the other."""
        after = _without(lock, [item.name for item in prepared])
        for item in self._in_order(lock, prepared):
            workshop = item.workshop
            if item.base != after:
                workshop = stack.enter_context(self._pipeline.workshop(after))
            after = workshop.complete(item.candidate)
            new = after.extensions[item.name]
            new = replace(new, installed_at=lock.extensions[item.name].installed_at)
            after = replace(after, extensions={**after.extensions, item.name: new})
        wheels = {
            name: read_wheel(self._pipeline.store.path(wheel))
            for name, wheel in after.wheels().items()
        }
        check_fits_together(wheels, HostPackages(self._config.instance))
        return after

    def _in_order(self, lock: Lock, prepared: Iterable[_Prepared]) -> list[_Prepared]:
        """Let those that others need go first."""
        wheels = {
            name: read_wheel(self._pipeline.store.path(item.wheel))
            for name, item in lock.extensions.items()
        }
        return sorted(prepared, key=lambda item: (len(needed_by(item.name, wheels)), item.name))


def _refuse_to_ignore(given: Given, kept: Sequence[Kept]) -> None:
    for item in kept if given else ():
        raise BadRequest(
            f"{item.name} stays: {item.reason}. Nothing was set; tinybase extensions config "
            f"{item.name} does that."
        )


def _chosen(lock: Lock, names: Sequence[str], ref: str | None) -> list[str]:
    if ref is not None and len(names) != 1:
        raise BadRequest("--ref says where to move one extension. Name exactly one.")
    chosen: list[str] = [canonicalize_name(name) for name in names] or sorted(lock.extensions)
    for name in chosen:
        if name not in lock.extensions:
            raise NotFound(
                f"{name} is not among what tinybase extensions install brought. "
                "See tinybase extensions list."
            )
    return list(dict.fromkeys(chosen))


def _source(item: LockedExtension, ref: str | None) -> Source:
    source = source_of(item, ref=ref)
    if ref is not None and not isinstance(source, GitSource):
        raise BadRequest("Only an extension from a repository has a ref. Leave out --ref.")
    return source


def _without(lock: Lock, names: Mapping[str, object] | Iterable[str]) -> Lock:
    """Return the set without some extensions, but with every package as it is.

    So what they need stays at its version where that still fits.
    """
    gone = set(names)
    kept = {name: item for name, item in lock.extensions.items() if name not in gone}
    return replace(lock, extensions=kept)


def _check_name(name: str, candidate: Candidate) -> None:
    found = candidate.known.name
    if found and found != name:
        raise Conflict(
            f"{candidate.source} now has an extension of another name, {found}. Uninstall {name} "
            f"and install {found} if you want that one.",
        )


def _reason_it_is_the_same(old: LockedExtension, new: _Prepared) -> str:
    if isinstance(new.candidate.source, IndexSource):
        if new.plan.version == old.version:
            return "it is the newest that fits"
        if _is_older(new.plan.version, old.version):
            return f"the newest that the index has now, {new.plan.version}, is older"
        return ""
    wheel = new.candidate.wheel
    if isinstance(new.candidate.source, GitSource) or wheel is None:
        return ""
    return "it has not changed" if sha256(wheel) == old.wheel.sha256 else ""


def _is_older(one: str, other: str) -> bool:
    try:
        return Version(one) < Version(other)
    except InvalidVersion:
        return False
