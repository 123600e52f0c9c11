"""Why a package is installed: the ways that lead to it from the extensions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from packaging.utils import canonicalize_name

from tinybase.errors import NotFound
from tinybase.packages.closure import applies
from tinybase.packages.environment import HostPackages
from tinybase.packages.pipeline import Pipeline
from tinybase.packages.wheels import WheelFacts, read_wheel


@dataclass(frozen=True, slots=True)
class Link:
    """One package on the way: ``needs`` is what it asks of the next one, if there is one."""

    name: str
    version: str
    needs: str | None = None


@dataclass(frozen=True, slots=True)
class Reason:
    """Why a package is there. ``origin`` is ``extension``, ``package`` or ``tinybase``.

    One of ``tinybase`` is in the environment of TinyBase itself, where no extension can
    change it. ``paths`` lead to it, each from an extension on.
    """

    name: str
    version: str
    origin: str
    paths: tuple[tuple[Link, ...], ...]


def explain(name: str, pipeline: Pipeline, host: HostPackages) -> Reason:
    """Return why a package is there, by any spelling of its name.

    :raises NotFound: if it is not.
    """
    wanted = canonicalize_name(name)
    lock = pipeline.lock()
    wheels = {key: read_wheel(pipeline.store.path(item)) for key, item in lock.wheels().items()}
    version, origin = host.version(wanted), "tinybase"
    if wanted in wheels:
        version = wheels[wanted].version
        origin = "extension" if wanted in lock.extensions else "package"
    if version is None:
        raise NotFound(
            f"{name} is not installed, neither for an extension nor with TinyBase. "
            "See tinybase extensions list."
        )
    paths = [
        path
        for root in sorted(lock.extensions)
        if root != wanted
        for path in _paths(root, wanted, wheels, (root,))
    ]
    return Reason(wanted, version, origin, tuple(sorted(paths, key=len)))


def _paths(
    name: str, wanted: str, wheels: Mapping[str, WheelFacts], seen: tuple[str, ...]
) -> Iterator[tuple[Link, ...]]:
    """Yield every way from one package to another that goes nowhere twice."""
    wheel = wheels[name]
    for requirement in wheel.requirements:
        needed = canonicalize_name(requirement.name)
        if not applies(requirement, requirement.extras) or needed in seen:
            continue
        link = Link(name, wheel.version, str(requirement))
        if needed == wanted:
            version = wheels[wanted].version if wanted in wheels else ""
            yield link, Link(wanted, version)
        elif needed in wheels:
            for rest in _paths(needed, wanted, wheels, (*seen, needed)):
                yield link, *rest
