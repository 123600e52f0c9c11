"""What the process in which extensions are tried out tells about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

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

    ``handlers`` are in the order in which they would be called, hook by hook, with those of
    the operator's own code; ``project_failures`` says what is wrong with that code.
    """

    states: Mapping[str, ExtensionState]
    handlers: Sequence[HandlerStats] = ()
    functions: Sequence[FunctionFacts] = ()
    project_failures: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return it as one process writes it for another."""
        return {
            "states": [asdict(state) for state in self.states.values()],
            "handlers": [
                {name: getattr(handler, name) for name in _OF_A_HANDLER}
                for handler in self.handlers
            ],
            "functions": [asdict(function) for function in self.functions],
            "project_failures": dict(self.project_failures),
        }

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what :meth:`as_json` returned."""
        return cls(
            states={item["name"]: _state(item) for item in document["states"]},
            handlers=[HandlerStats(**item) for item in document["handlers"]],
            functions=[FunctionFacts(**item) for item in document["functions"]],
            project_failures=document["project_failures"],
        )


def _state(item: Mapping[str, Any]) -> ExtensionState:
    lists = {"hooks": tuple(item["hooks"]), "functions": tuple(item["functions"])}
    return ExtensionState(**{**item, **lists})
