"""What extensions do wrong while they are loaded, started and stopped: all of them at once.

One instance is served whose extensions each commit one fault. Each has to have the fate that
:mod:`reliability.faults` says, others run, and nobody starts again and again.
``TINYBASE_TEST_FAULTS=all`` is every fault at every moment, and with each hook by which
extensions contribute something.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from serving import Server

from tinybase.host.kinds import COLLECTING

from .asking import Asking
from .conftest import Site
from .culprits import culprit_at, witness_of_moments
from .faults import Fate, Moment, Outcome, fate_of, faults_at, outcome_at
from .ledger import is_sound
from .planted_guards import MOMENT_PLANTS, together

EVERYTHING = os.environ.get("TINYBASE_TEST_FAULTS") == "all"
HOOKS = sorted(COLLECTING)
Cell = tuple[Moment, str, str]

COSTLY = [(Moment.COLLECT, "hang")]
"""What takes a process each, and is committed by the ordinary run all the same."""

ALONE = [(Moment.COLLECT, "memory")]
"""What is asked again beside those that start, which may not get the memory they need."""

ONE_BY_ONE: list[list[Cell]] = [
    [(Moment.IMPORT, "hang", ""), (Moment.IMPORT, "busy-loop", "")],
    [(Moment.COLLECT, "busy-loop", HOOKS[0])],
]

PATIENCE = 30  # seconds until what is late has ended and every worker has seen it
WITNESS = "a-witness"
"""It is started first, and stopped last."""

STARTING = [Moment.IMPORT, Moment.COLLECT, Moment.STARTUP]
DEADLY = ["exit", "segmentation-fault", "out-of-memory"]


def cells() -> list[Cell]:
    """Return moments and faults, and a hook for those that contribute something."""
    found = []
    for moment in Moment:
        for number, fault in enumerate(faults_at(moment)):
            is_costly = fate_of(moment, fault) is Fate.QUARANTINED
            if (moment, fault) not in ALONE and (not is_costly or (moment, fault) in COSTLY):
                hook = HOOKS[number % len(HOOKS)] if moment is Moment.COLLECT else ""
                found.append((moment, fault, hook))
    return found


def cells_of(hook: str) -> list[Cell]:
    """Return the faults of those who contribute something with one hook.

    What takes too long costs a process, whichever hook it is, and is tried with one of them.
    """
    faults = faults_at(Moment.COLLECT)
    quick = [f for f in faults if fate_of(Moment.COLLECT, f) is not Fate.QUARANTINED]
    return [(Moment.COLLECT, fault, hook) for fault in quick]


def name_of(moment: Moment, fault: str, hook: str) -> str:
    """Return the name of the extension that commits a fault."""
    place = hook.rpartition("_")[2] if hook else "somewhere"
    return f"{moment.name.lower()}-{fault}-{place}"


def add(site: Site, cells: list[Cell]) -> None:
    """Install the extensions, and one that sees what happens."""
    site.add(WITNESS, witness_of_moments())
    for cell in cells:
        site.add(name_of(*cell), culprit_at(*cell))


def serve(site: Site, folder: Path) -> Server:
    """Serve with little patience."""
    (folder / "ran").touch()
    impatient = {
        "TINYBASE_EXTENSIONS_IMPORT_TIMEOUT_SECONDS": "5",
        "TINYBASE_HOOKS_STARTUP_SECONDS": "1",
        "TINYBASE_HOOKS_SHUTDOWN_SECONDS": "1",
    }
    return site.serve(**impatient, FAULTS_FOLDER=str(folder))


def fate_in(state: Any) -> Fate:
    """Return what has become of an extension, as the API shows it."""
    if state["status"] == "enabled":
        return Fate.SHOWN if state["status_reason"] else Fate.RUNS
    return Fate(state["status"])


@pytest.mark.parametrize(
    "committed",
    [cells(), *([*map(cells_of, HOOKS), *ONE_BY_ONE] if EVERYTHING else [])],
    ids=["all moments", *([*HOOKS, "imports", "contributions"] if EVERYTHING else [])],
)
def test_what_extensions_do_while_they_load_start_and_stop_costs_nobody_else(
    committed: list[Cell], site: Site, tmp_path: Path
) -> None:
    add(site, committed)
    with serve(site, tmp_path) as server:
        asking = Asking(server)
        assert unlike(fates_of(committed), asking, PATIENCE) == {}
        workers = set(server.workers)
        assert asking.workers() == workers
        asking.made(asking.prepare("create", "acknowledged"))
        assert server.stop() == 0
    told = [line for cell in committed for line in log_of(*cell)]
    assert [line for line in told if line not in server.output] == []
    ran = (tmp_path / "ran").read_text().splitlines()
    assert {f"{what} {pid}" for pid in workers for what in ("startup", "shutdown")} <= {*ran}
    assert all(f"culprit {moment.name}.{fault}" in ran for moment, fault, _ in committed)
    assert is_sound(site.instance / "tinybase.db")


def test_a_worker_that_an_extension_tells_to_stop_while_it_starts_goes_on(
    site: Site, tmp_path: Path
) -> None:
    told = [(moment, "termination", HOOKS[0]) for moment in STARTING]
    add(site, told)
    with serve(site, tmp_path) as server:
        asking = Asking(server)
        assert unlike(fates_of(told), asking, PATIENCE) == {}
        assert asking.workers() == set(server.workers)
        server.wait_for(lambda: "got signal 15 while it started" in server.output)
        assert server.stop() == 0
    assert "starting another one" not in server.output


def test_what_ends_the_process_while_it_starts_is_switched_off_and_others_run(
    site: Site, tmp_path: Path
) -> None:
    moments = STARTING if EVERYTHING else [Moment.COLLECT]
    faults = DEADLY if EVERYTHING else ["exit"]
    committed = [(moment, fault, HOOKS[0]) for moment in moments for fault in faults]
    add(site, committed)
    with serve(site, tmp_path) as server:
        asking = Asking(server)
        assert unlike(fates_of(committed), asking, PATIENCE) == {}
        assert asking.workers() == set(server.workers)
        assert server.stop() == 0


@pytest.mark.parametrize("fault", [*DEADLY, "termination"] if EVERYTHING else ["exit"])
def test_what_ends_the_process_while_it_stops_keeps_nobody_from_stopping(
    fault: str, site: Site, tmp_path: Path
) -> None:
    add(site, [(Moment.SHUTDOWN, fault, "")])
    with serve(site, tmp_path) as server:
        asking = Asking(server)
        asking.made(asking.prepare("create", "acknowledged"))
        assert server.stop() == 0
    ran = (tmp_path / "ran").read_text().splitlines()
    assert ran.count(f"culprit SHUTDOWN.{fault}") == 2
    assert is_sound(site.instance / "tinybase.db")


def test_a_planted_bug_of_whoever_loads_and_starts_extensions_is_found(
    site: Site, tmp_path: Path
) -> None:
    (site.packages / "sitecustomize.py").write_text(together(MOMENT_PLANTS.values()))
    committed = [(*cell, "") for cell in MOMENT_PLANTS]
    add(site, committed)
    with serve(site, tmp_path) as server:
        found = unlike(fates_of(committed), Asking(server), 0)
    assert found.keys() == {name_of(*cell) for cell in committed}


def fates_of(cells: list[Cell]) -> dict[str, Fate]:
    """Return what has to become of each extension."""
    return {name_of(*cell): fate_of(*cell[:2]) for cell in cells} | {WITNESS: Fate.RUNS}


def log_of(moment: Moment, fault: str, hook: str) -> Iterator[str]:
    """Yield what the log has to say of an extension that is stopped."""
    outcome, name = outcome_at(moment, fault), name_of(moment, fault, hook)
    if moment is Moment.SHUTDOWN and outcome is Outcome.FAILURE:
        package = name.replace("-", "_")
        yield f"extension {name}: {package}:stops failed in tinybase_on_shutdown"
    if moment is Moment.SHUTDOWN and outcome is Outcome.DELAY:
        yield f"extension {name}: on_shutdown did not end in 1 s"


def unlike(fates: dict[str, Fate], asking: Asking, seconds: float) -> dict[str, Any]:
    """Return which extensions have another fate in some worker, and still after so long."""
    deadline = time.monotonic() + seconds
    while True:
        states = [state for _ in range(4) for state in asking.extensions()]
        wrong = {s["name"]: s for s in states if fate_in(s) is not fates[s["name"]]}
        if not wrong or time.monotonic() > deadline:
            return {name: (s["status"], s["status_reason"]) for name, s in wrong.items()}
