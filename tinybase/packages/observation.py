"""What the process in which extensions are tried out tells about them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Self

from tinybase.host.ordering import Circle, Statement, Turn
from tinybase.host.settings import SettingFacts
from tinybase.host.snapshot import ExtensionState
from tinybase.host.stats import HandlerStats

_OF_A_HANDLER = ("extension", "hook", "handler", "decorator", "filters", "is_async")


@dataclass(frozen=True, slots=True)
class FunctionFacts:
    """One function; ``owner`` is an extension or the operator's own project."""

    name: str
    owner: str
    auth: str
    description: str


@dataclass(frozen=True, slots=True)
class Observation:
    """What becomes of extensions when a worker loads them.

    ``turns`` are the handlers in the order in which they would be called, hook by hook, with
    those of the operator's own code; ``project_failures`` says what is wrong with that code,
    and ``circles`` what about the order contradicts itself.
    """

    states: Mapping[str, ExtensionState]
    turns: Sequence[Turn] = ()
    functions: Sequence[FunctionFacts] = ()
    project_failures: Mapping[str, str] = field(default_factory=dict)
    circles: Sequence[Circle] = ()

    @property
    def handlers(self) -> list[HandlerStats]:
        """Return the handlers in that order."""
        return [turn.handler for turn in self.turns]

    def without(self, idle: Collection[str]) -> Self:
        """Leave out what extensions do that would load and still do not run."""
        return replace(
            self,
            turns=[turn for turn in self.turns if turn.handler.extension not in idle],
            functions=[item for item in self.functions if item.owner not in idle],
        )

    def as_json(self) -> dict[str, Any]:
        """Return it as one process writes it for another."""
        return {
            "states": [asdict(state) for state in self.states.values()],
            "turns": [
                {**vars(turn), "handler": {n: getattr(turn.handler, n) for n in _OF_A_HANDLER}}
                for turn in self.turns
            ],
            "functions": [asdict(function) for function in self.functions],
            "project_failures": dict(self.project_failures),
            "circles": [asdict(circle) for circle in self.circles],
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`as_json` returned."""
        return cls(
            states={item["name"]: _state(item) for item in document["states"]},
            turns=[_turn(item) for item in document["turns"]],
            functions=[FunctionFacts(**item) for item in document["functions"]],
            project_failures=document["project_failures"],
            circles=[_circle(item) for item in document["circles"]],
        )


def _state(item: Mapping[str, Any]) -> ExtensionState:
    read = {
        "hooks": tuple(item["hooks"]),
        "functions": tuple(item["functions"]),
        "routes": tuple(item["routes"]),
        "settings": tuple(SettingFacts.from_json(facts) for facts in item["settings"]),
        "collections": tuple(item["collections"]),
    }
    return ExtensionState(**{**item, **read})


def _turn(item: Mapping[str, Any]) -> Turn:
    lists = {"before": tuple(item["before"]), "after": tuple(item["after"])}
    return Turn(**{**item, **lists, "handler": HandlerStats(**item["handler"])})


def _circle(item: Mapping[str, Any]) -> Circle:
    kept = tuple(Statement(**statement) for statement in item["kept"])
    return Circle(Statement(**item["dropped"]), kept, tuple(item["hooks"]))
