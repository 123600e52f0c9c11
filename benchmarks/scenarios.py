"""What is measured, and what is to be reached."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum


class Scenario(StrEnum):
    """One kind of work that a server is given."""

    READ = "read by id"
    LIST = "list 30, filter and sort, index, total"
    LIST_UNCOUNTED = "the same without total"
    LIST_PLAIN = "list 30, filter and sort, no index"
    UPDATE = "update one field"
    CREATE = "create"
    DELETE = "delete"
    BATCH = "batch of 20 creates"
    LOGIN = "login"
    HEALTH = "health"

    @property
    def connections(self) -> int:
        """Return how many clients there are at a time."""
        return _CONNECTIONS.get(self, 16)


_CONNECTIONS = {
    Scenario.LIST: 8,
    Scenario.LIST_UNCOUNTED: 8,
    Scenario.LIST_PLAIN: 8,
    Scenario.BATCH: 4,
    Scenario.LOGIN: 4,
}

BATCH_SIZE = 20


@dataclass(frozen=True)
class Goal:
    """How many times as much one target does as another at the least.

    :param most: the p99 may have at most this ratio; ``None`` is not asked.
    """

    scenario: Scenario
    target: str
    base: str
    least: float
    most: float | None = None


GOALS: Sequence[Goal] = (
    Goal(Scenario.CREATE, "tinybase", "pocketbase", 1.5, most=0.7),
    Goal(Scenario.READ, "tinybase", "pocketbase", 1.8, most=0.7),
    Goal(Scenario.LIST, "tinybase", "pocketbase", 3.0),
    Goal(Scenario.LIST_UNCOUNTED, "tinybase", "pocketbase", 3.5),
    Goal(Scenario.LIST_PLAIN, "tinybase", "pocketbase", 1.0),
    Goal(Scenario.UPDATE, "tinybase", "pocketbase", 1.8, most=0.7),
    Goal(Scenario.LOGIN, "tinybase", "pocketbase", 2.4),
    Goal(Scenario.HEALTH, "tinybase", "pocketbase", 1.4),
    Goal(Scenario.CREATE, "tinybase full", "pocketbase", 1.0),
    Goal(Scenario.UPDATE, "tinybase full", "pocketbase", 1.0),
    Goal(Scenario.CREATE, "tinybase 1 handler", "tinybase", 0.95),
    Goal(Scenario.CREATE, "tinybase 100 handlers", "tinybase", 0.95),
    Goal(Scenario.READ, "tinybase large", "tinybase small", 0.9),
    Goal(Scenario.CREATE, "tinybase large", "tinybase small", 0.9),
    Goal(Scenario.LIST, "tinybase large", "tinybase small", 0.9),
)

COLD_START_SECONDS = 0.4
IDLE_MEMORY = 120 * 2**20
