"""No write is acknowledged before the system was told to put it on the disk.

A server that is killed cannot show that: what it wrote is still in the memory of the system. So
its system calls are watched. ``TINYBASE_TEST_ACKNOWLEDGED`` (200) says how many writes.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID

import pytest

from . import planted_writes
from .ledger import RECORDS
from .nursery import Asked, Event, Nest, Nursery, Plant, Watched, put, watch
from .seccomp import Unsupported

WRITES = int(os.environ.get("TINYBASE_TEST_ACKNOWLEDGED", "200"))
SYNCHRONISING = ("fsync", "fdatasync")


def writes(token: str, count: int) -> list[Asked]:
    """Return creates, updates, batches and deletes; what each stores has its mark in it."""
    asked = []
    for number in range(count // 4):
        record = str(UUID(int=number + 1, version=4))
        marks = [f"mark-{number}-{kind}." for kind in range(3)]
        first, second, third = ({"key": mark, "n": 1} for mark in marks)
        operations = [{"op": "create", "data": third}, {"op": "create", "data": third}]
        path = f"{RECORDS}/{record}"
        asked += [
            Asked("PUT", path, first, token, marks[0]),
            Asked("PATCH", path, second, token, marks[1]),
            Asked("POST", f"{RECORDS}/batch", {"operations": operations}, token, marks[2]),
            Asked("DELETE", path, None, token),
        ]
    return asked


def unsynchronised(seen: Watched) -> list[str]:
    """Return the acknowledgements, of one at a time, that came before a write and its sync."""
    found, has_written, is_safe = [], False, False
    for event in seen.events[1:]:  # the first says that it is ready
        if event.name == "ack":
            if not is_safe:
                found.append(event.text.decode())
            has_written = is_safe = False
        elif event.path.endswith("-wal"):
            has_written = has_written or event.name == "pwrite64"
            is_safe = is_safe or (has_written and event.name in SYNCHRONISING)
    return found


def marks_unsynchronised(events: Sequence[Event], asked: Sequence[Asked]) -> list[str]:
    """Return the marks, of several at a time, that were acknowledged before they were safe."""
    acknowledged = {
        asks.mark: next(n for n, e in enumerate(events) if e.name == "ack" and _in(asks.mark, e))
        for asks in asked
    }
    return [mark for mark, end in acknowledged.items() if not _is_safe(mark, events[:end])]


def _is_safe(mark: str, events: Sequence[Event]) -> bool:
    log = [event for event in events if event.path.endswith("-wal")]
    written = next((n for n, e in enumerate(log) if e.name == "pwrite64" and _in(mark, e)), None)
    if written is None:
        return False
    return any(event.name in SYNCHRONISING for event in log[written:])


def _in(mark: str, event: Event) -> bool:
    return mark.encode() in event.text


class Observatory:
    """Where servers are watched."""

    def __init__(self, nursery: Nursery, grown: tuple[str, Path], folder: Path) -> None:
        self._nursery = nursery
        self._template = grown[1]
        self._folder = folder

    def watch(
        self,
        asked: Sequence[Asked],
        *,
        plant: Plant | None = None,
        threads: int = 1,
        **settings: str,
    ) -> Watched:
        """Have requests answered by a server, and see its calls."""
        put(self._template, self._folder)
        nest = Nest(self._folder, tuple(settings.items()), plant)
        try:
            seen: Watched = self._nursery.do(watch, nest, *asked, threads=threads, keep=True)
        except Unsupported as error:
            pytest.skip(str(error))
        assert [reply for reply in seen.replies if reply.status >= 300] == []
        assert len(seen.replies) == len(asked)
        return seen


@pytest.fixture
def observatory(nursery: Nursery, grown: tuple[str, Path], tmp_path: Path) -> Observatory:
    return Observatory(nursery, grown, tmp_path / "instance")


def test_every_acknowledgement_comes_after_the_log_is_synchronised(
    observatory: Observatory, grown: tuple[str, Path]
) -> None:
    asked = writes(grown[0], WRITES)

    seen = observatory.watch(asked)

    assert unsynchronised(seen) == []
    assert marks_unsynchronised(seen.events, [asks for asks in asked if asks.mark]) == []


def test_also_of_writes_that_come_at_the_same_time(
    observatory: Observatory, grown: tuple[str, Path]
) -> None:
    asked = [asks for asks in writes(grown[0], WRITES) if asks.method == "POST"]

    seen = observatory.watch(asked, threads=4)

    assert marks_unsynchronised(seen.events, asked) == []


@pytest.mark.parametrize("threads", [1, 4])
def test_a_server_that_does_not_synchronise_is_found(
    threads: int, observatory: Observatory, grown: tuple[str, Path]
) -> None:
    asked = [asks for asks in writes(grown[0], 40) if asks.method == "POST"]

    seen = observatory.watch(asked, threads=threads, plant=planted_writes.never_synchronise)

    if threads == 1:
        assert len(unsynchronised(seen)) == len(asked)
    assert len(marks_unsynchronised(seen.events, asked)) == len(asked)


def test_so_is_one_that_commits_after_it_has_answered(
    observatory: Observatory, grown: tuple[str, Path]
) -> None:
    asked = [asks for asks in writes(grown[0], 40) if asks.method == "POST"]

    seen = observatory.watch(asked, plant=planted_writes.acknowledge_before_the_commit)

    assert unsynchronised(seen) != []


def test_the_durability_normal_promises_less(
    observatory: Observatory, grown: tuple[str, Path]
) -> None:
    asked = writes(grown[0], 40)

    assert len(unsynchronised(observatory.watch(asked, TINYBASE_DATABASE_DURABILITY="normal"))) > 30
