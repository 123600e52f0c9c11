"""The sets of extensions that an instance had, and the way back to them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from tinybase.errors import NotFound
from tinybase.packages.changes import Change
from tinybase.packages.generations import KEEP
from tinybase.packages.journal import Entry
from tinybase.packages.lock import FILE_NAME, Lock
from tinybase.packages.pipeline import Pipeline, Progress, silent


@dataclass(frozen=True, slots=True)
class Generation:
    """One complete set: ``changes`` are those against the set that it was made from."""

    number: int
    is_current: bool
    created_at: str
    command: str
    base: int | None
    changes: tuple[Change, ...]
    extensions: dict[str, str]


@dataclass(frozen=True, slots=True)
class Rollback:
    """A return to an earlier set, and what that changed."""

    number: int
    changes: tuple[Change, ...]


class History:
    """The sets of one instance that are still there."""

    def __init__(self, pipeline: Pipeline) -> None:
        self._pipeline = pipeline

    def list(self) -> list[Generation]:
        """Return every set that is kept, the newest first."""
        self._pipeline.recover_if_idle()
        current = self._pipeline.generations.current()
        kept = reversed(self._pipeline.generations.kept())
        return [_generation(path, is_current=path.resolve() == current) for path in kept]

    def target(self, number: int | None = None) -> Rollback:
        """Return what :meth:`roll_back` would do.

        :raises NotFound: when that set is not kept, or there is no earlier one.
        """
        self._pipeline.recover_if_idle()
        folder = self._find(number)
        after = Lock.read(folder / FILE_NAME)
        return Rollback(int(folder.name), self._pipeline.changes_to(after))

    def roll_back(self, number: int | None = None, *, progress: Progress = silent) -> Rollback:
        """Put an earlier set in force again; nothing is fetched or built.

        :param number: which; by default the one that the current set was made from.
        :raises NotFound: when that set is not kept, or there is no earlier one.
        :raises Conflict: ``extension_load_failed``; nothing was changed then.
        """
        with self._pipeline.alone("extensions rollback"):
            folder = self._find(number)
            if folder.resolve() == self._pipeline.generations.current():
                return Rollback(int(folder.name), ())
            progress("Trying it out")
            return Rollback(int(folder.name), self._pipeline.return_to(folder))

    def _find(self, number: int | None) -> Path:
        kept = {int(path.name): path for path in self._pipeline.generations.kept()}
        if number is not None:
            if number not in kept:
                raise NotFound(f"There is no generation {number}. {_said_of(sorted(kept))}")
            return kept[number]
        current = self._pipeline.generations.current()
        base = Entry.read(current).base if current else None
        if base in kept:
            return kept[base]
        here = self._pipeline.generations.number() or 0
        earlier = [item for item in kept if item < here]
        if not earlier:
            raise NotFound(
                "There is no earlier generation to go back to. See tinybase extensions history."
            )
        return kept[max(earlier)]


def _generation(path: Path, *, is_current: bool) -> Generation:
    entry, lock = Entry.read(path), Lock.read(path / FILE_NAME)
    return Generation(
        number=int(path.name),
        is_current=is_current,
        created_at=entry.created_at,
        command=entry.purpose,
        base=entry.base,
        changes=entry.changes,
        extensions={name: item.version for name, item in sorted(lock.extensions.items())},
    )


def _said_of(kept: list[int]) -> str:
    if not kept:
        return "Nothing was installed yet."
    return f"The last {KEEP} are kept: {', '.join(map(str, kept))}."
