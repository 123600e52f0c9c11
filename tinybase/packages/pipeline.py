"""Putting another set of extensions in force: the one way in which anything is changed.

A complete new set is built beside the one in force, tried out in a process of its own, and
put in force by one atomic step.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, delete, insert, update
from uuid_utils.compat import uuid7

from tinybase.config import Config
from tinybase.db import Database, format_time, tables, utcnow
from tinybase.errors import Conflict, TinyBaseError
from tinybase.host import ExtensionState, Host
from tinybase.host.desired import bump
from tinybase.host.ordering import check_order
from tinybase.host.settings import store
from tinybase.interruption import uninterrupted
from tinybase.packages.changes import Change, difference
from tinybase.packages.generations import Generations
from tinybase.packages.integrity import damage
from tinybase.packages.journal import Entry
from tinybase.packages.lock import FILE_NAME, Lock
from tinybase.packages.store import WheelStore
from tinybase.packages.verify import Verifier, refusal
from tinybase.packages.workshop import Workshop

log = logging.getLogger(__name__)

_table = tables.extensions

Tried = dict[str, ExtensionState]
"""How extensions fared when they were tried out, by name."""

Progress = Callable[[str], object]

Values = Mapping[str, Mapping[str, object]]
"""Values of settings, by extension and name."""

Agree = Callable[[Tried], Values]
"""Is shown how extensions fared before the switch, and raises to stop; returns values that are
set in the same step."""


def nothing_given(_: Tried) -> Values:
    """Agree to whatever loads, and set nothing."""
    return {}


def silent(_: object) -> None:
    """Do not ask, and do not tell."""


class Pipeline:
    """Changes what is installed in one instance, all of a change or nothing."""

    def __init__(self, config: Config, database: Database, host: Host) -> None:
        self._config = config
        self._database = database
        self._host = host
        self.generations = Generations(config.instance)
        self.store = WheelStore(self.generations.folder / "wheels")
        self.verifier = Verifier(config)

    def lock(self) -> Lock:
        """Return what is installed; the copy in the generation is the truth about it."""
        current = self.generations.current()
        return Lock.read(current / FILE_NAME) if current else Lock()

    @contextmanager
    def alone(self, purpose: str) -> Iterator[None]:
        """Keep others out while the block changes the set, and clean up after the dead.

        :raises Conflict: ``install_in_progress``, saying who is at it.
        """
        with self.generations.locked(purpose):
            self._finish_or_discard()
            try:
                yield
            finally:
                self._prune_store()
        self._host.refresh()

    @contextmanager
    def workshop(
        self, lock: Lock | None = None, *, prefer: Mapping[str, str] | None = None
    ) -> Iterator[Workshop]:
        """Open a folder for preparing a change, by default of what is installed.

        :param prefer: the versions that packages shall have if they can.
        """
        with tempfile.TemporaryDirectory(prefix="tinybase-") as folder:
            yield Workshop(Path(folder), self._config, lock or self.lock(), self.store, prefer)

    def changes_to(self, lock: Lock) -> tuple[Change, ...]:
        """Return what would change if another set were in force."""
        return difference(self.lock(), lock)

    def put_in_force(
        self,
        lock: Lock,
        workshop: Workshop,
        *,
        purpose: str,
        insist: Iterable[str] = (),
        agree: Agree = nothing_given,
    ) -> Tried:
        """Build the set that a lock describes, try it out and switch to it.

        The switch happens inside the transaction that notes it, and is undone if the
        database cannot be written; if this process dies in between, ``pending`` says what
        is left to do.

        :param insist: extensions that have to load even if they are switched off.
        :param agree: see :data:`Agree`.
        """
        wheels = lock.wheels()
        changes = self.changes_to(lock)
        with self.generations.building(_note(changes)) as folder:
            if wheels:
                with self.generations.filling(folder) as target:
                    workshop.pip.install(
                        {name: (wheel.version, wheel.sha256) for name, wheel in wheels.items()},
                        links=workshop.links(wheels.values()),
                        target=target,
                    )
            lock.write(folder / FILE_NAME)
            note = Entry(purpose, format_time(utcnow()), self.generations.number(), changes)
            note.write(folder)
            return self._switch(folder, lock, changes, insist, agree)

    def return_to(self, folder: Path) -> tuple[Change, ...]:
        """Put a set that was kept in force again, and return what that changed."""
        lock = Lock.read(folder / FILE_NAME)
        changes = self.changes_to(lock)
        with self.generations.returning(folder, _note(changes)):
            self._switch(folder, lock, changes, ())
        return changes

    def recover(self) -> None:
        """Bring to an end what a process that died was doing; cheap when there is nothing.

        :raises Conflict: ``install_in_progress``, when it did not die but is busy.
        """
        if self.generations.unfinished() is not None:
            with self.alone("recovery"):
                pass

    def recover_if_idle(self) -> None:
        """Recover unless somebody is at it, or this process may only read.

        Then what is in force holds.
        """
        try:
            self.recover()
        except (TinyBaseError, OSError):
            return

    def _switch(
        self,
        folder: Path,
        lock: Lock,
        changes: Sequence[Change],
        insist: Iterable[str],
        agree: Agree = nothing_given,
    ) -> Tried:
        note = _note(changes)
        tried: Tried = {}
        if not changes or any(change.after is not None for change in changes):
            tried = self._verify(folder, lock, fresh=note["added"], insist=frozenset(insist))
        values = agree(tried)
        with uninterrupted():
            with self.generations.undoing(), self._database.write() as work:
                _record(work.connection, note["added"], note["removed"])
                for name, given in values.items():
                    store(work.connection, name, given)
                self.generations.switch(folder)
            try:
                self._tidy(lock)
            except OSError as error:  # the change is made; what is left, the note still says
                log.warning("The next command has to tidy up the extensions: %s", error)
        return tried

    def _tidy(self, lock: Lock) -> None:
        """Do what comes after the switch and may as well be done later."""
        lock.write(self._config.instance / FILE_NAME)
        current = self.generations.current()
        entry = Entry.read(current) if current else None
        # The way back leads there, even when newer ones were left behind meanwhile.
        self.generations.finish(keep=entry.base if entry else None)

    def _prune_store(self) -> None:
        kept = [Lock.read(folder / FILE_NAME) for folder in self.generations.kept()]
        self.store.keep_only(wheel for item in kept for wheel in item.wheels().values())

    def _finish_or_discard(self) -> None:
        """Complete the change that a dead process had made, or remove what it had begun."""
        unfinished = self.generations.unfinished()
        if unfinished is None:
            return
        folder, note = unfinished
        if self.generations.current() != folder.resolve():
            self.generations.discard(folder, note)
            return
        with self._database.write() as work:
            _record(work.connection, note.get("added", ()), note.get("removed", ()))
        self._tidy(self.lock())

    def _verify(
        self, generation: Path, lock: Lock, *, fresh: Iterable[str], insist: frozenset[str]
    ) -> Tried:
        """Refuse a set in which something new, or something that worked before, fails to load.

        :raises Conflict: ``extension_load_failed``; ``dependency_conflict``, when something
            new makes the order of handlers a circle.
        """
        new = set(fresh)
        wishes = self._host.desired.read()
        expected = len(lock.extensions)
        others = {key: wish for key, wish in wishes.items() if key not in insist}
        seen = self.verifier.observe(generation, others, expected=expected, everything=True)
        after = dict(seen.states)
        _check_untouched(generation, lock)
        for name in sorted(new):
            if name in insist or name not in wishes or wishes[name].is_enabled:
                _check_loads(name, after.get(name), lock)
        broken = [
            item
            for key, item in after.items()
            if key in lock.extensions and key not in new and item.status == "failed"
        ]
        circles = [circle for circle in seen.circles if not new.isdisjoint(circle.names)]
        if broken or circles:
            known = self.verifier.observe(
                self.generations.current(), others, expected=expected, everything=True
            )
            check_order(circles, known.circles)
            before = known.states
            for item in broken:
                if item.name in before and before[item.name].status == "enabled":
                    raise does_not_load(
                        f"{item.name} does not load together with {_listed(new)}: "
                        f"{item.reason}. Uninstall one of the two.",
                        item.reason or "",
                    )
        return after


def does_not_load(detail: str, reason: str) -> TinyBaseError:
    """Return the error for an extension that does not load, with the bare reason too."""
    return Conflict(detail, code="extension_load_failed", status_reason=reason)


def _check_untouched(generation: Path, lock: Lock) -> None:
    """Make sure that nothing has changed its own files, or those of others, while it loaded."""
    touched = next(damage(generation, lock.wheels()), None)
    if touched is not None:
        reason = f"{touched} is not as it was installed any more after the set was tried out"
        raise does_not_load(f"{reason}. Install releases that leave the files alone.", reason)


def _check_loads(name: str, state: ExtensionState | None, lock: Lock) -> None:
    if state is not None and state.status in ("enabled", "quarantined"):
        return
    reason = state.reason if state else "it is not found after it was installed"
    package, layout = state.package if state else "", lock.extensions[name].layout
    raise refusal(name, reason or "", package, layout)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names)) or "the other packages"


def _note(changes: Iterable[Change]) -> Mapping[str, list[str]]:
    """Return what has to be noted in the database: which extensions came and which went."""
    extensions = [change for change in changes if change.kind == "extension"]
    return {
        "added": [change.name for change in extensions if change.after is not None],
        "removed": [change.name for change in extensions if change.after is None],
    }


def _record(connection: Connection, added: Iterable[str], removed: Iterable[str]) -> None:
    """Note in the database that extensions came, changed or went, and tell all workers."""
    now = utcnow()
    for name in removed:
        connection.execute(delete(_table).where(_table.c.name == name))
    for name in added:
        changed = connection.execute(
            update(_table)
            .where(_table.c.name == name)
            .values(status="enabled", status_reason=None, updated_at=now)
        )
        if not changed.rowcount:
            connection.execute(
                insert(_table).values(
                    id=uuid7(),
                    name=name,
                    is_enabled=True,
                    status="enabled",
                    created_at=now,
                    updated_at=now,
                )
            )
    bump(connection)
