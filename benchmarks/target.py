"""What the benchmark needs to know of a product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from benchmarks.processes import Server
from benchmarks.scenarios import Scenario
from benchmarks.wrk import Load


@dataclass(frozen=True)
class Size:
    """How many records there are; so many of them again may be deleted in each round."""

    records: int
    victims: int
    rounds: int

    @property
    def with_victims(self) -> int:
        """Return how many records the collection has in the beginning."""
        return self.records + self.victims * self.rounds


class Target(Protocol):
    """A product with its data, in one configuration."""

    name: str

    def prepare(self) -> None:
        """Make an instance with the data."""

    def start(self) -> Server:
        """Start the server; return when it answers."""

    def sign_in(self, url: str) -> None:
        """Get the token of the user as whom all requests are made."""

    def load(self, scenario: Scenario) -> Load:
        """Return the requests of a scenario."""

    def disturbances(self) -> Mapping[str, Load]:
        """Return what takes long and must not hold up others, by name."""

    def stored(self) -> int:
        """Return how many records of the collection are in the database."""
