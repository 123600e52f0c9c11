"""Who comes in the place of a worker, and how many do."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tinybase.cli.handover import Handover
from tinybase.cli.pulse import Pulse


class Crew:
    """Two workers that are no processes, and a handover of their places."""

    def __init__(self) -> None:
        self.started: list[int] = []
        self.pulses: dict[Any, Pulse] = {}
        self.workers: list[Any] = []
        self.workers += [self.start(place) for place in range(2)]
        self.started.clear()
        self.handover = Handover(self.workers, self.pulses, self.start, lambda _: None)

    def start(self, place: int) -> Any:
        self.started.append(place)
        worker = Worker(idx=place, inner=SimpleNamespace(exitcode=None))
        self.pulses[worker] = Pulse()
        return worker

    def die(self, *places: int) -> None:
        """End workers, and do what the supervisor does then."""
        for place in places:
            self.workers[place].inner.exitcode = 1
        for place in places:
            self.workers[place] = self.handover.take(place) or self.start(place)


class Worker(SimpleNamespace):
    """A worker; of two that look the same each is itself."""

    __hash__ = object.__hash__


@pytest.fixture
def crew() -> Crew:
    return Crew()


def test_workers_that_ask_for_it_are_replaced_one_by_one(crew):
    for worker in crew.workers:
        crew.pulses[worker].ask_for_replacement()

    crew.handover.step()
    assert crew.started == [0]
    crew.pulses[crew.handover.beside[-1]].serves()
    crew.handover.step()
    crew.handover.step()
    assert crew.started == [0, 1]


def test_the_place_of_a_worker_that_dies_meanwhile_is_taken_once(crew):
    for worker in crew.workers:
        crew.pulses[worker].ask_for_replacement()
    crew.handover.step()

    crew.die(0, 1)
    crew.handover.step()

    assert crew.started == [0, 1]
    assert crew.handover.beside == []
