"""Bugs that are put into a command, to see that they are found."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from tinybase.packages import generations, pipeline
from tinybase.packages.generations import Generations
from tinybase.packages.pipeline import Pipeline


def switch_without_trying_out() -> None:
    """Put a set in force that nobody has seen load."""
    Pipeline._verify = lambda *_, **__: {}  # type: ignore[method-assign]


def try_out_after_the_switch() -> None:
    """Put a set in force first, and go back if it does not load."""

    def switch(self: Pipeline, folder: Path, lock: Any, changes: Any, insist: Any, *_: Any) -> Any:
        note = pipeline._note(changes)
        with self.generations.undoing():
            self.generations.switch(folder)
            return self._verify(folder, lock, fresh=note["added"], insist=frozenset(insist))

    Pipeline._switch = switch  # type: ignore[method-assign]


def write_the_rows_before_the_link() -> None:
    """Commit what the database says of the new set, then switch to it."""

    def switch(self: Pipeline, folder: Path, lock: Any, changes: Any, *_: Any) -> Any:
        note = pipeline._note(changes)
        with self._database.write() as work:
            pipeline._record(work.connection, note["added"], note["removed"])
        self.generations.switch(folder)
        self._tidy(lock)

    Pipeline._switch = switch  # type: ignore[method-assign]


def write_the_link_in_place() -> None:
    """Remove the link to the old set, then make the one to the new set."""

    def switch(self: Generations, folder: Path) -> None:
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(folder.relative_to(self.folder))

    Generations.switch = switch  # type: ignore[method-assign]


def leave_no_note() -> None:
    """Build and switch without a note of what is going on."""
    write = generations.write_durably

    def write_but_the_note(path: Path, text: str) -> None:
        if path.name != "pending":
            write(path, text)

    generations.write_durably = write_but_the_note


def be_interrupted_in_the_commit() -> None:
    """Let Ctrl-C fall between the commit and what Python makes of it."""
    pipeline.uninterrupted = nullcontext  # type: ignore[assignment]


def fill_the_set_in_force() -> None:
    """Let pip write into the set in force instead of a new one."""

    @contextmanager
    def filling(self: Generations, folder: Path) -> Iterator[Path]:
        yield self._link.resolve()

    Generations.filling = filling  # type: ignore[method-assign]
