"""One extension as lists show it: what is wanted, what is installed and how it fares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import NAMESPACE_DNS, UUID, uuid5

from tinybase.host import ExtensionState
from tinybase.host.ordering import Turn
from tinybase.packages.belongings import Belongings
from tinybase.packages.lock import Lock
from tinybase.packages.observation import FunctionFacts


@dataclass(frozen=True, slots=True)
class Row:
    """What the database knows of an extension."""

    id: UUID
    name: str
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class InstalledExtension:
    """An extension; the fields are those of the REST API, in its order.

    ``managed`` says whether it was installed by TinyBase. For one that somebody installed
    with plain pip, ``repo_url`` is empty and the times may be unknown.
    """

    id: UUID
    name: str
    version: str
    description: str
    author: str
    license: str
    repo_url: str
    ref: str | None
    commit: str | None
    source: str
    is_enabled: bool
    status: str
    status_reason: str | None
    managed: bool
    generation: int | None
    hooks: tuple[str, ...]
    functions: tuple[str, ...]
    routes: tuple[str, ...]
    installed_at: datetime | None
    updated_at: datetime | None
    update_available: str | None


@dataclass(frozen=True, slots=True)
class ExtensionDetails:
    """Everything that is known of one extension.

    ``packages`` are the versions of what it brought along. ``turns`` are its handlers in the
    order in which they are called; ``counters`` has the sums of each over all workers, as the REST
    API has them, ``contributed`` those of the views and health checks that were called, and
    ``counted_since`` says since when.
    """

    extension: InstalledExtension
    packages: Mapping[str, str]
    turns: Sequence[Turn]
    counters: Sequence[Mapping[str, Any]]
    contributed: Sequence[Mapping[str, Any]]
    counted_since: datetime
    functions: Sequence[FunctionFacts]
    data: Belongings


def view(
    state: ExtensionState,
    row: Row | None,
    lock: Lock,
    generation: int | None,
    newer: Mapping[tuple[str, str], str],
) -> InstalledExtension:
    """Put together what is known of an extension.

    :param newer: the releases that are known to be newer, by name and version.
    """
    locked = lock.extensions.get(state.name) if state.managed else None
    return InstalledExtension(
        # Stable for one that nobody ever switched, and so has no row.
        id=row.id if row else uuid5(NAMESPACE_DNS, f"{state.name}.extensions.tinybase"),
        name=state.name,
        version=state.version,
        description=state.description,
        author=state.author,
        license=state.license,
        repo_url=locked.address if locked else "",
        ref=locked.ref if locked else None,
        commit=locked.commit if locked else None,
        source=locked.source if locked else "pip",
        is_enabled=state.is_enabled,
        status=state.status,
        status_reason=state.reason,
        managed=state.managed,
        generation=generation if state.managed else None,
        hooks=state.hooks,
        functions=state.functions,
        routes=state.routes,
        installed_at=_time(locked.installed_at if locked else None) or _created(row),
        updated_at=row.updated_at if row else _time(locked.updated_at if locked else None),
        update_available=newer.get((state.name, state.version)) if locked else None,
    )


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _created(row: Row | None) -> datetime | None:
    return row.created_at if row else None
