"""Every place where an extension is called, every fault: it costs that extension and nobody else.

One instance with two workers is served. A request says which fault is to be committed; then
it is seen what was answered, that the code of another extension ran, that what was
acknowledged is stored and what was refused is not. The ordinary run commits all faults where
the code under test differs, some of them at each other place, and those that end the process
at a few; ``TINYBASE_TEST_FAULTS=all`` is every fault everywhere.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest

from .conftest import Site
from .faults import FAULTS, HOOKS, INAPPLICABLE, RETURNED, SITES, Outcome, outcome_of
from .matrix import served
from .planted_guards import PLANTS, ROOM_PLANTS, together

HARMLESS = [name for name, (outcome, _) in FAULTS.items() if outcome is not Outcome.DEATH]
DEADLY = [name for name, (outcome, _) in FAULTS.items() if outcome is Outcome.DEATH]
EVERYTHING = os.environ.get("TINYBASE_TEST_FAULTS") == "all"
SAMPLED = 7
"""Of so many faults one is committed at a place whose code is that of another one."""


def cells() -> list[tuple[str, str]]:
    """Return the cells whose fault leaves the process alive.

    Of a site that is sampled each time other ones than of the site before.
    """
    faults = [*HARMLESS, *RETURNED]
    found = []
    for number, (name, at) in enumerate(SITES.items()):
        is_whole = at.is_whole or EVERYTHING
        some = faults if is_whole else faults[number % SAMPLED :: SAMPLED]
        found += [(name, fault) for fault in some if (name, fault) not in INAPPLICABLE]
    return found


def deaths() -> list[tuple[str, str]]:
    """Return the cells whose fault ends the process."""
    if EVERYTHING:
        return list(itertools.product(SITES, DEADLY))
    some = ["on_record_create", "before_record_create", "view", "on_user_login"]
    return list(zip(some, DEADLY, strict=True))


def test_whatever_an_extension_does_costs_nobody_else(site: Site, tmp_path: Path) -> None:
    with served(site, tmp_path) as matrix:
        workers = set(matrix.server.workers)
        found = [complaint for cell in cells() for complaint in matrix.commit(*cell)]
        assert found == []
        assert matrix.problems() == []
        assert set(matrix.server.workers) == workers
        failing = {site for site, fault in cells() if outcome_of(site, fault) is Outcome.FAILURE}
        assert all(f"culprit:{name} " in matrix.server.output for name in failing & {*HOOKS})


def test_what_ends_its_worker_ends_no_other_and_loses_nothing(site: Site, tmp_path: Path) -> None:
    with served(site, tmp_path) as matrix:
        found = [complaint for cell in deaths() for complaint in matrix.die(*cell)]
        assert found == []
        assert matrix.problems() == []


@pytest.mark.parametrize(
    ("plant", "cells"),
    [
        ("an unguarded implementation", [("on_record_create", "exception")]),
        ("a shared event", [("on_record_create", "mutation")]),
        ("a shared session", [("before_user_login", "written")] * 2),
        ("no deadline", [("before_record_create", "hang")]),
    ],
)
def test_a_planted_bug_is_found(
    plant: str, cells: list[tuple[str, str]], site: Site, tmp_path: Path
) -> None:
    (site.packages / "sitecustomize.py").write_text(PLANTS[plant])
    with served(site, tmp_path, workers=1) as matrix:
        assert [complaint for cell in cells for complaint in matrix.commit(*cell)] != []


def test_a_planted_bug_of_whoever_calls_extensions_is_found(site: Site, tmp_path: Path) -> None:
    (site.packages / "sitecustomize.py").write_text(together(ROOM_PLANTS.values()))
    with served(site, tmp_path, workers=1) as matrix:
        assert [cell for cell in ROOM_PLANTS if not matrix.commit(*cell)] == []
