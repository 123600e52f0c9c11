"""What is said about the order of handlers, and the order that comes of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tinybase.config import FILE_NAME
from tinybase.errors import Conflict
from tinybase.extensions.rows import Order
from tinybase.host.plugin import ExtensionPlugin, Implementation
from tinybase.host.stats import HandlerStats


@dataclass(frozen=True)
class Rules:
    """What is said about the order besides what handlers say themselves.

    :param owner: whose code comes before that of all extensions: the operator's own.
    :param operator: names of extensions, in the order that the operator wants.
    :param manifests: what extensions say in their manifests, by name.
    """

    owner: str = ""
    operator: Sequence[str] = ()
    manifests: Mapping[str, Order] = field(default_factory=dict)


@dataclass(frozen=True)
class Statement:
    """That one extension is called before another, and who says so."""

    first: str
    then: str
    source: str

    def __str__(self) -> str:
        return f"{self.first} before {self.then} ({self.source})"


@dataclass(frozen=True)
class Circle:
    """Statements that contradict one another; the ``dropped`` one is not followed."""

    dropped: Statement
    kept: tuple[Statement, ...]
    hooks: tuple[str, ...]

    @property
    def names(self) -> list[str]:
        """Return the names of the extensions, in the order that is kept."""
        return list(dict.fromkeys([*(item.first for item in self.kept), self.kept[-1].then]))

    @property
    def statements(self) -> list[str]:
        """Return what contradicts one another, the one that is not followed first."""
        return [str(self.dropped), *map(str, self.kept)]

    @property
    def remedy(self) -> str:
        """Say what the operator can do about it."""
        names = ", ".join(f'"{name}"' for name in self.names)
        return f"Say which comes first: order = [{names}] under [extensions] in {FILE_NAME}."

    def __str__(self) -> str:
        hooks = ", ".join(hook.removeprefix("tinybase_") for hook in self.hooks)
        return f"the order of {hooks} is a circle: {' and '.join(self.statements)}"


@dataclass(frozen=True)
class Turn:
    """When a handler is called: its number at its hook, and why.

    ``before`` and ``after`` are the extensions that it names, itself or in its manifest;
    ``why`` is the rule that put it behind the one in front of it, and what is not followed.
    """

    handler: HandlerStats
    number: int = 1
    priority: int = 0
    before: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    why: str = ""


@dataclass(frozen=True)
class Arrangement:
    """The order of everything that some plugins implement.

    ``calls`` has the implementations of each hook, and ``start_up`` the plugins.
    """

    calls: Mapping[str, Sequence[Implementation]] = field(default_factory=dict)
    turns: Sequence[Turn] = ()
    circles: Sequence[Circle] = ()
    start_up: Sequence[ExtensionPlugin] = ()


def check_order(circles: Iterable[Circle], known: Iterable[Circle]) -> None:
    """Refuse an order that contradicts itself, unless it did so before.

    :raises Conflict: ``dependency_conflict``, naming what contradicts what and the remedy.
    """
    there_before = {(circle.dropped, circle.kept) for circle in known}
    for circle in circles:
        if (circle.dropped, circle.kept) not in there_before:
            raise Conflict(
                f"The extensions do not fit together: {circle}. {circle.remedy}",
                code="dependency_conflict",
                conflicts=circle.statements,
            )
