"""Servers are killed while clients write: what was acknowledged is there, and nothing is half.

``TINYBASE_TEST_CRASHES`` (50) says how often servers are killed that :mod:`reliability.nursery`
forks, all of them or one. For each 25 of these ``tinybase serve`` is killed once.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from pathlib import Path

import pytest
from serving import Server

from . import planted_writes
from .conftest import Site
from .ledger import Ledger, is_sound
from .nursery import Flock, Nest, Nursery, Plant

CRASHES = int(os.environ.get("TINYBASE_TEST_CRASHES", "50"))
PROCESSES, CLIENTS = 2, 4


class Nemesis:
    """Kills servers in the middle of writes, and starts others."""

    def __init__(self, flock: Flock, ledger: Ledger, seed: int) -> None:
        self._flock = flock
        self._ledger = ledger
        self._chosen = random.Random(seed)

    def strike(self) -> None:
        """Kill one server or all of them, once some writes were acknowledged."""
        self._wait_for(self._chosen.randint(3, 16))
        time.sleep(self._chosen.random() / 200)  # anywhere between two acknowledgements
        pids = self._flock.pids
        doomed = list(pids) if self._chosen.random() < 0.5 else [self._chosen.choice(pids)]
        self._flock.kill(doomed)
        self._flock.start(len(doomed))
        self._wait_for(CLIENTS)

    def _wait_for(self, more: int) -> None:
        wait_for_writes(self._ledger, more)


def wait_for_writes(ledger: Ledger, more: int) -> None:
    """Wait until so many more writes were acknowledged."""
    wanted, deadline = ledger.acknowledged + more, time.monotonic() + 60
    while ledger.acknowledged < wanted:
        assert time.monotonic() < deadline, [client.faults[:1] for client in ledger.clients]
        time.sleep(0.001)


def crash(
    nursery: Nursery,
    grown: tuple[str, Path],
    folder: Path,
    kills: int,
    plant: Plant | None = None,
) -> list[str]:
    """Kill servers so often; return what was found wrong, and stop at the first time."""
    token, template = grown
    shutil.copytree(template, folder)
    ledger = Ledger(token, CLIENTS)
    with nursery.serving(Nest(folder, plant=plant), PROCESSES) as flock:
        nemesis = Nemesis(flock, ledger, seed=kills)
        for _ in range(kills):
            ledger.during(flock.port, nemesis.strike)
            if problems := ledger.problems(flock.port):
                return problems
            assert is_sound(folder / "tinybase.db")
    print(f"{kills} kills, {ledger.outcomes}")
    return []


def test_no_acknowledged_write_is_lost_when_servers_are_killed(
    nursery: Nursery, grown: tuple[str, Path], tmp_path: Path
) -> None:
    assert crash(nursery, grown, tmp_path / "instance", CRASHES) == []


@pytest.mark.parametrize(
    "plant",
    [
        planted_writes.acknowledge_before_the_commit,
        planted_writes.split_batches,
        planted_writes.forget_keys,
    ],
)
def test_a_planted_bug_is_found(
    plant: Plant, nursery: Nursery, grown: tuple[str, Path], tmp_path: Path
) -> None:
    assert crash(nursery, grown, tmp_path / "instance", 50, plant) != []


def test_nothing_is_lost_when_everything_that_serves_is_killed(
    grown: tuple[str, Path], site: Site
) -> None:
    token, template = grown
    shutil.rmtree(site.instance)
    shutil.copytree(template, site.instance)
    ledger = Ledger(token, CLIENTS)

    for number in range(max(CRASHES // 25, 1)):
        with site.serve() as server:
            assert ledger.problems(server.port) == []
            assert is_sound(site.instance / "tinybase.db")
            kill_in_the_middle(server, ledger, only_a_worker=number % 2 == 0)
    with site.serve() as server:
        assert ledger.problems(server.port) == []


def kill_in_the_middle(server: Server, ledger: Ledger, *, only_a_worker: bool) -> None:
    """Kill a worker, and then the whole process group, while clients write."""

    def strike() -> None:
        wait_for_writes(ledger, 50)
        if only_a_worker:
            os.kill(server.workers[0], signal.SIGKILL)
            wait_for_writes(ledger, 50)
        os.killpg(server.process.pid, signal.SIGKILL)
        server.process.wait(10)

    ledger.during(server.port, strike)
