"""Commands that are killed, interrupted or failed by the disk leave the set before or after.

How that is done, and at which moments, is told in :mod:`reliability.kills`. The variable
``TINYBASE_TEST_KILLS`` says at about how many moments commands are killed once, 150; with 2000
it is at every call of each of them, and more than 2000 kills in all.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from serving import clean_environment, tinybase

from . import planted
from .kills import TWO, Ground, Operation, Outcome
from .seccomp import Unsupported
from .warm import Plant

KILLS = int(os.environ.get("TINYBASE_TEST_KILLS", "150"))
FAILS, LAST = "install what does not load", "uninstall the last"
OPERATIONS = {
    "install": 22,
    "update": 14,
    "uninstall": 28,
    "rollback": 36,
    "sync": 14,
    FAILS: 8,
    LAST: 36,
}
"""How many moments of each are chosen of 150: more of those that take little time."""


class Range:
    """Operations on an instance, and a process with everything imported to shoot at them."""

    def __init__(self, ground: Ground, pool: ProcessPoolExecutor) -> None:
        self.ground = ground
        self.operations = pool.submit(ground.operations).result()
        self._pool = pool

    def do(self, what: Callable[..., Any], *arguments: Any, **options: Any) -> Any:
        """Do something in the other process."""
        return self._pool.submit(what, *arguments, **options).result()

    def each(
        self, what: Callable[..., Outcome | None], operation: Operation, points: Iterable[int]
    ) -> list[Outcome]:
        """Do something at each point; leave out where there was nothing to do."""
        found = (self.do(what, operation, point) for point in points)
        return [outcome for outcome in found if outcome is not None]


@pytest.fixture(scope="module")
def shooting(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[Range]:
    """Return the operations; the other process has no threads, so it can fork."""
    ground = Ground(tmp_path_factory.mktemp("kills"), empty_database, clean_environment())
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        try:
            found = Range(ground, pool)
        except Unsupported as error:
            pytest.skip(str(error))
        yield found


def sized(count: int) -> int:
    """Return how many of something there are in a run of this size."""
    return count * KILLS // 150


def bad(outcomes: Iterable[Outcome]) -> list[str]:
    return [str(outcome) for outcome in outcomes if outcome.problems]


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_command_that_is_killed_leaves_the_set_before_or_after(
    name: str, shooting: Range
) -> None:
    operation, ground = shooting.operations[name], shooting.ground
    count = sized(OPERATIONS[name]) if KILLS < 2000 else 2 * len(operation.moments)
    points = operation.points(count, offset=count)
    outcomes = []

    for index, point in enumerate(points):
        outcomes.append(shooting.do(ground.kill, operation, point, go_on=index % 15 == 5))

    assert bad(outcomes) == []
    assert {item.state for item in outcomes} == (
        {"before"} if name == FAILS else {"before", "after"}
    )
    # The last call of all may not come again: a path or a number is shorter then.
    assert len([item for item in outcomes if item.code == -9]) >= len(outcomes) - 1
    assert len(outcomes) >= min(count, len(operation.moments))


@pytest.mark.parametrize("name", ["install", "uninstall", "rollback", LAST])
def test_a_recovery_can_be_killed_too(name: str, shooting: Range) -> None:
    operation = shooting.operations[name]
    count = 4 if KILLS < 2000 else len(operation.moments) // 2
    points = operation.points(count, offset=3)

    assert bad(shooting.each(shooting.ground.kill_twice, operation, points)) == []


def test_what_a_killed_command_left_running_reaches_no_later_set(shooting: Range) -> None:
    install = shooting.operations["install"]
    points = install.of_children() if KILLS > 150 else install.of_children()[:2]

    outcomes = [item for p in points for item in shooting.do(shooting.ground.orphan, install, p)]

    assert bad(outcomes) == []
    assert [item.state for item in outcomes] == ["before", "after"] * len(points)


@pytest.mark.parametrize("kill", [False, True])
def test_two_commands_at_once_both_do_what_they_say(kill: bool, shooting: Range) -> None:
    first, second = shooting.operations["install"], shooting.operations[LAST]
    points = first.points(sized(3), offset=2)

    outcomes = [shooting.do(shooting.ground.both, first, second, p, kill=kill) for p in points]

    installed = f"{TWO} 1.0.0 enabled"
    assert bad(outcomes) == []
    # Killed, the first has come to nothing or to its end, and the second has happened.
    assert {item.state for item in outcomes} <= ({installed, ""} if kill else {installed})


@pytest.mark.parametrize("name", ["install", "update", "uninstall", "rollback", "sync"])
def test_ctrl_c_at_any_moment_leaves_the_set_before_or_after(name: str, shooting: Range) -> None:
    operation = shooting.operations[name]
    chosen = {*operation.points(sized(2), offset=7), operation.of_the_commit()[-1]}
    # After the last word nothing is left to interrupt.
    points = sorted(n for n in chosen if n < len(operation.moments) - 1)

    assert bad(shooting.each(shooting.ground.interrupt, operation, points)) == []


@pytest.mark.parametrize(("name", "count"), [("install", 6), ("rollback", 9), (LAST, 9)])
def test_a_disk_that_is_full_or_fails_is_told_in_one_line(
    name: str, count: int, shooting: Range
) -> None:
    operation = shooting.operations[name]
    # Fewer would not have one on each side of the commit.
    count = max(count, sized(count))
    points = operation.points(count, offset=4)

    full = shooting.each(shooting.ground.fill, operation, points)
    broken = shooting.each(shooting.ground.break_disk, operation, points)

    assert bad(full + broken) == []
    assert {item.state for item in full} == {"before", "after"}
    assert len(full + broken) >= count


@pytest.mark.parametrize(
    ("plant", "name", "where"),
    [
        (planted.write_the_link_in_place, "rollback", Operation.at_the_link),
        (planted.write_the_rows_before_the_link, LAST, Operation.at_the_link),
        (planted.leave_no_note, LAST, Operation.at_the_link),
        (planted.fill_the_set_in_force, "install", Operation.of_children),
        (planted.try_out_after_the_switch, FAILS, Operation.at_the_link),
        (planted.switch_without_trying_out, FAILS, Operation.at_the_link),
    ],
)
def test_a_planted_bug_is_found(
    plant: Plant, name: str, where: Callable[[Operation], list[int]], shooting: Range
) -> None:
    ground = shooting.ground
    operation = shooting.do(ground.traced, shooting.operations[name], plant)
    # One after another until it shows: how many it takes is not the point.
    outcomes = (shooting.do(ground.kill, operation, n, plant=plant) for n in where(operation))

    assert any(outcome.state == "neither" for outcome in outcomes)


def test_a_commit_that_can_be_interrupted_is_found(shooting: Range) -> None:
    rollback, plant = shooting.operations["rollback"], planted.be_interrupted_in_the_commit
    outcomes = (
        shooting.do(shooting.ground.interrupt, rollback, n, plant=plant)
        for n in reversed(rollback.of_the_commit())
    )

    assert any(outcome.state == "neither" for outcome in outcomes)


def test_a_command_that_starts_afresh_does_what_those_here_do(shooting: Range) -> None:
    ground, install = shooting.ground, shooting.operations["install"]
    ground.start(install.template)

    done = tinybase("extensions", *install.arguments, instance=ground.instance, env=ground.environ)

    assert done.returncode == 0, done.stderr
    assert shooting.do(ground.examine).without_times() == install.after.without_times()
