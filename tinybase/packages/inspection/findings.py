"""What reading the source of an extension brings to light."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

Filters = tuple[tuple[str, tuple[str, ...] | None], ...]
"""Keyword -> patterns; ``None`` for what is computed when the module is imported."""


class Power(StrEnum):
    """What code can do beyond answering its hooks; the order is that of the screen."""

    PROCESSES = "processes"
    NETWORK = "network"
    NATIVE = "native"
    CODE = "code"
    UNPICKLING = "unpickling"
    FILES = "files"
    ENVIRONMENT = "environment"
    PATCHES = "patches"
    INTERNALS = "internals"
    LIFE = "life"


MEANING: Final[Mapping[Power, str]] = {
    Power.PROCESSES: "runs programs",
    Power.NETWORK: "opens connections",
    Power.NATIVE: "runs native code",
    Power.CODE: "runs code made while it runs",
    Power.UNPICKLING: "makes objects from bytes",
    Power.FILES: "writes or removes files",
    Power.ENVIRONMENT: "reads any environment variable",
    Power.PATCHES: "changes what is not its own",
    Power.INTERNALS: "reaches into Python and the process",
    Power.LIFE: "starts threads, handles signals or ends the process",
}

NATIVE_CODE: Final = "native code"
BYTECODE: Final = "bytecode"


@dataclass(frozen=True, slots=True)
class Finding:
    """Something in the source; ``line`` is 0 where it is the file as a whole."""

    file: str
    line: int

    @property
    def place(self) -> str:
        """Return where it is, as editors understand it."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Implementation(Finding):
    """A hook that is implemented.

    ``decorator`` is ``hookimpl`` for a raw one; ``handler`` is empty where it cannot be seen.
    """

    hook: str
    decorator: str
    handler: str
    filters: Filters


@dataclass(frozen=True, slots=True)
class Offer(Finding):
    """A server function; ``None`` for what is computed when the module is imported."""

    name: str | None
    auth: str | None


@dataclass(frozen=True, slots=True)
class Route(Finding):
    """An address, as a blueprint declares it; ``auth`` is ``None`` where that is not seen."""

    rule: str
    methods: tuple[str, ...]
    auth: str | None = None


@dataclass(frozen=True, slots=True)
class Command(Finding):
    """A command for the command line."""

    name: str


@dataclass(frozen=True, slots=True)
class OwnField:
    """A field of a collection of its own; ``more`` is what else is declared of it, as JSON."""

    name: str
    type: str
    is_required: bool = False
    is_unique: bool = False
    has_default: bool = False
    more: str = ""


@dataclass(frozen=True, slots=True)
class OwnCollection(Finding):
    """A collection of its own; ``None`` for a name, and for fields, that are computed."""

    name: str | None
    fields: tuple[OwnField, ...] | None = None
    is_guarded: bool = False


@dataclass(frozen=True, slots=True)
class OwnSetting(Finding):
    """A setting, by the name that operators use."""

    name: str
    is_secret: bool
    is_required: bool


@dataclass(frozen=True, slots=True)
class Variable(Finding):
    """An environment variable that is read."""

    name: str


@dataclass(frozen=True, slots=True)
class Use(Finding):
    """A power that is used; ``what`` is the module or function that gives it.

    ``line`` is 0 for a file that is the power as a whole, such as a compiled module.
    """

    power: Power
    what: str


@dataclass(frozen=True, slots=True)
class Unread(Finding):
    """A file that could not be read, so nothing is known of it; ``line`` 0 is unknown."""

    reason: str


@dataclass(frozen=True, slots=True)
class Inspection:
    """What the source of an extension says, in a fixed order; nothing of it was run."""

    hooks: tuple[Implementation, ...] = ()
    functions: tuple[Offer, ...] = ()
    routes: tuple[Route, ...] = ()
    commands: tuple[Command, ...] = ()
    collections: tuple[OwnCollection, ...] = ()
    settings: tuple[OwnSetting, ...] = ()
    environment: tuple[Variable, ...] = ()
    uses: tuple[Use, ...] = ()
    unread: tuple[Unread, ...] = ()

    @property
    def warnings(self) -> tuple[str, ...]:
        """Return a sentence for each power, and for each file that hides what it does."""
        return tuple(self._warnings())

    def _warnings(self) -> Iterator[str]:
        for power, what, places in grouped(self.uses):
            yield f"{_verb(power, what)} {what} ({shortened(places)})"
        for item in self.unread:
            yield f"cannot be read: {item.reason} ({item.place})"
        for offer in self.functions:
            if offer.name is None:
                yield f"registers a function under a computed name ({offer.place})"


def shortened(items: Sequence[str], most: int = 8) -> str:
    """Join texts, and only count those that would be too many to read."""
    more = f" and {len(items) - most} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def grouped(uses: Iterable[Use]) -> list[tuple[Power, str, list[str]]]:
    """Return the places of each thing that is used, by power and name."""
    places: dict[tuple[Power, str], list[str]] = {}
    for use in uses:
        places.setdefault((use.power, use.what), []).append(use.place)
    order = list(Power)
    found = sorted(places.items(), key=lambda item: (order.index(item[0][0]), item[0][1]))
    return [(power, what, where) for (power, what), where in found]


def _verb(power: Power, what: str) -> str:
    if what in (NATIVE_CODE, BYTECODE):
        return "contains"
    return "changes" if power is Power.PATCHES else "uses"
