"""The folders that hold what the installed extensions brought.

``extensions/generations/NNN`` is one complete set, and ``extensions/current`` a link to
the one in force. A new set is built beside the others; one atomic replacement of the link
puts it in force, so a process that dies at any point leaves the set before or the set
after. ``extensions/pending`` names a set while it is being built.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

from tinybase.errors import Conflict
from tinybase.files import sync, write_durably

KEEP = 3
"""How many sets are kept, the one in force included."""

_GONE = "removed-"
_FILLED = "new-"


class Generations:
    """The generations of one instance."""

    def __init__(self, instance: Path) -> None:
        self.folder = instance / "extensions"
        self._sets = self.folder / "generations"
        self._link = self.folder / "current"
        self._pending = self.folder / "pending"
        self._lock = self.folder / "lock"

    def current(self) -> Path | None:
        """Return the set in force, or ``None`` before anything was installed."""
        return self._link.resolve() if self._link.exists() else None

    def number(self) -> int | None:
        """Return the number of the set in force."""
        current = self.current()
        return int(current.name) if current is not None and current.name.isdigit() else None

    def kept(self) -> list[Path]:
        """Return all sets, the oldest first."""
        if not self._sets.is_dir():
            return []
        return sorted(
            (path for path in self._sets.iterdir() if path.name.isdigit()),
            key=lambda path: int(path.name),
        )

    @contextmanager
    def locked(self, purpose: str) -> Iterator[None]:
        """Keep every other process from changing the set while the block runs.

        :raises Conflict: ``install_in_progress``, saying who is at it.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._lock.open("a+", encoding="utf-8") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                holder = file.read().strip() or "another process"
                raise Conflict(
                    f"The extensions are being changed by {holder}. Wait until it is done.",
                    code="install_in_progress",
                ) from error
            file.seek(0)
            file.truncate()
            file.write(f"process {os.getpid()} ({purpose})")
            file.flush()
            try:
                yield
            finally:
                file.seek(0)
                file.truncate()

    @contextmanager
    def building(self, note: Mapping[str, Any]) -> Iterator[Path]:
        """Make an empty folder for a new set; it is removed when the block raises.

        :param note: what :meth:`unfinished` returns should this process die.
        """
        number = max((int(path.name) for path in self.kept()), default=0) + 1
        folder = self._sets / f"{number:03}"
        self._sets.mkdir(parents=True, exist_ok=True)
        write_durably(self._pending, json.dumps({"generation": folder.name, **note}))
        try:
            folder.mkdir()
            yield folder
        except BaseException:
            if self.current() != folder.resolve():
                self.discard(folder)
            raise

    @contextmanager
    def returning(self, folder: Path, note: Mapping[str, Any]) -> Iterator[None]:
        """Note that a set that was kept is about to be put in force again."""
        document = {"generation": folder.name, "returns": True, **note}
        write_durably(self._pending, json.dumps(document))
        try:
            yield
        except BaseException:
            if self.current() != folder.resolve():
                self._pending.unlink(missing_ok=True)
            raise

    @contextmanager
    def filling(self, folder: Path) -> Iterator[Path]:
        """Make a folder that becomes the content of a new set when the block ends.

        No later set has its name: what a dead process left running, such as pip, may go on
        writing there and harms nobody.
        """
        scratch = self._sets / f"{_FILLED}{uuid4().hex}"
        scratch.mkdir()
        yield scratch
        scratch.replace(folder)

    @contextmanager
    def undoing(self) -> Iterator[None]:
        """Put the set in force again that is so now, should the block raise."""
        before = self._link.readlink() if self._link.is_symlink() else None
        back = self.folder / f"current.{os.getpid()}.back"
        back.unlink(missing_ok=True)
        if before is not None:
            back.symlink_to(before)  # beforehand: it must not fail when the disk is full
        try:
            yield
        except BaseException:
            if before is None:
                self._link.unlink(missing_ok=True)
            else:
                back.replace(self._link)
            sync(self.folder)
            raise
        finally:
            back.unlink(missing_ok=True)

    def switch(self, folder: Path) -> None:
        """Put a set in force, all of it or nothing, also when the power fails."""
        _sync_tree(folder)
        sync(self._sets)
        new = self.folder / f"current.{os.getpid()}"
        new.unlink(missing_ok=True)
        new.symlink_to(folder.relative_to(self.folder))
        new.replace(self._link)
        sync(self.folder)

    def unfinished(self) -> tuple[Path, dict[str, Any]] | None:
        """Return the set that a process did not live to finish, with its note."""
        try:
            note = json.loads(self._pending.read_text("utf-8"))
        except FileNotFoundError:
            return None
        except ValueError:  # the process died while it wrote the note
            note = {"generation": "000"}
        return self._sets / note.pop("generation"), note

    def finish(self, *, keep: int | None = None) -> None:
        """Forget that a set was being built, and remove those that are too old.

        Older ones that a living process uses stay until a later call finds them unused.

        :param keep: the number of a set that has to stay whatever its age.
        """
        self._pending.unlink(missing_ok=True)
        current = self.current()
        older = [path for path in self.kept() if path.resolve() != current]
        older.sort(key=lambda path: (int(path.name) == keep, int(path.name)))
        for path in older[: max(0, len(older) - (KEEP - 1))]:
            _remove_unless_used(path)
        self._remove_litter()

    def discard(self, folder: Path, note: Mapping[str, Any] | None = None) -> None:
        """Remove a set that was not finished, unless it was there before."""
        if not (note or {}).get("returns"):
            shutil.rmtree(folder, ignore_errors=True)
        self._remove_litter()
        self._pending.unlink(missing_ok=True)

    def _remove_litter(self) -> None:
        """Remove what processes that died while they worked here have left."""
        for folder in (*self._sets.glob(f"{_GONE}*"), *self._sets.glob(f"{_FILLED}*")):
            shutil.rmtree(folder, ignore_errors=True)
        for pattern in ("current.*", "*.new", "../extensions.lock.*.new"):
            for file in self.folder.glob(pattern):
                file.unlink(missing_ok=True)


def _remove_unless_used(folder: Path) -> None:
    """Remove a set at one blow, unless a process holds the lock that ``host/usage.py`` takes."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        gone = folder.with_name(f"{_GONE}{folder.name}")
        folder.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
    except OSError:  # in use, or not ours to remove
        return
    finally:
        os.close(descriptor)


def _sync_tree(folder: Path) -> None:
    for inner, _, files in os.walk(folder):
        for name in files:
            path = Path(inner, name)
            if not path.is_symlink():
                sync(path)
        sync(Path(inner))
