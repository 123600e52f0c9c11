"""Which extension needs which package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tinybase.packages.wheels import WheelFacts


def applies(requirement: Requirement, extras: Iterable[str] = ()) -> bool:
    """Say whether a requirement holds on this machine, with the extras that were asked for."""
    if requirement.marker is None:
        return True
    return any(requirement.marker.evaluate({"extra": extra}) for extra in ("", *extras))


def needed_by(root: str, wheels: Mapping[str, WheelFacts], extras: Iterable[str] = ()) -> set[str]:
    """Return the packages among some wheels that one of them needs, directly or not.

    :param extras: with which extras that one was asked for.
    """
    seen: set[tuple[str, frozenset[str]]] = set()
    ahead = [(root, frozenset(extras))]
    while ahead:
        name, wanted_extras = ahead.pop()
        if name not in wheels or (name, wanted_extras) in seen:
            continue
        seen.add((name, wanted_extras))
        for requirement in wheels[name].requirements:
            if applies(requirement, wanted_extras):
                wanted = canonicalize_name(requirement.name)
                ahead.append((wanted, frozenset(requirement.extras)))
    return {name for name, _ in seen} - {root}
