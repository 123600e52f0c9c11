"""What an installation would do, as the operator is shown it before it is done."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid5

from tinybase.packages.inspection import Inspection

_NAMESPACE: Final = UUID("0190b6c2-7d3e-7000-9000-7469c3a16d01")
_PERIOD: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class PlannedPackage:
    """A package that comes along."""

    name: str
    version: str
    description: str
    action: str = "add"


@dataclass(frozen=True, slots=True)
class Plan:
    """An installation, before any code of the extension has run.

    What only the extension's own build can tell is empty; ``packages`` is then ``None``, and
    so is ``inspection`` where the source is only there after a build. ``layout`` is ``flat``,
    ``pyproject`` or ``wheel``. ``obstacle`` says why it cannot be installed as things are,
    and ``conflicts`` which packages do not fit.
    """

    name: str
    version: str
    description: str
    author: str
    license: str
    source: str
    address: str
    subdirectory: str | None
    ref: str | None
    commit: str | None
    layout: str
    editable: bool
    runs_build_code: bool
    packages: tuple[PlannedPackage, ...] | None
    inspection: Inspection | None = None
    conflicts: tuple[str, ...] = ()
    obstacle: str = ""

    @property
    def installable(self) -> bool:
        """Say whether it fits what is there."""
        return not self.obstacle

    @property
    def hooks(self) -> list[str]:
        """Return the names of the hooks that it implements."""
        return _distinct(item.hook for item in self._inspected.hooks)

    @property
    def functions(self) -> list[str]:
        """Return the names of its functions, as far as the source tells them."""
        return _distinct(item.name for item in self._inspected.functions if item.name)

    @property
    def routes(self) -> list[str]:
        """Return the addresses of its blueprints, as they declare them."""
        return _distinct(item.rule for item in self._inspected.routes)

    @property
    def environment(self) -> list[str]:
        """Return the names of the environment variables that it reads."""
        return _distinct(item.name for item in self._inspected.environment)

    @property
    def warnings(self) -> list[str]:
        """Return what its code can do beyond answering hooks, and what could not be read."""
        return list(self._inspected.warnings)

    @property
    def _inspected(self) -> Inspection:
        return self.inspection or Inspection()

    def valid_from(self, now: datetime) -> tuple[UUID, datetime]:
        """Return an id that stands for exactly this plan, and when it ceases to be valid."""
        period = _period(now)
        expires_at = datetime.fromtimestamp((period + 2) * _PERIOD.total_seconds(), UTC)
        return self._id(period), expires_at

    def is_meant_by(self, plan_id: UUID, now: datetime) -> bool:
        """Say whether an id was given out for this very plan and is still valid."""
        period = _period(now)
        return plan_id in (self._id(period), self._id(period - 1))

    def _id(self, period: int) -> UUID:
        content = json.dumps([period, asdict(self)], sort_keys=True)
        return uuid5(_NAMESPACE, content)


def document(plan: Plan, now: datetime) -> dict[str, Any]:
    """Return a plan as the API answers it."""
    plan_id, expires_at = plan.valid_from(now)
    return {
        "plan_id": plan_id,
        "expires_at": expires_at,
        "name": plan.name,
        "version": plan.version,
        "description": plan.description,
        "author": plan.author,
        "license": plan.license,
        "ref": plan.ref,
        "commit": plan.commit,
        "layout": plan.layout,
        "runs_build_code": plan.runs_build_code,
        "packages": None if plan.packages is None else [asdict(item) for item in plan.packages],
        "conflicts": list(plan.conflicts),
        "hooks": plan.hooks,
        "functions": plan.functions,
        "routes": plan.routes,
        "environment": plan.environment,
        "warnings": plan.warnings,
        "installable": plan.installable,
    }


def _period(now: datetime) -> int:
    """Number the spans of time; a plan is valid in the one it is made in and in the next."""
    return int(now.timestamp() // _PERIOD.total_seconds())


def _distinct(names: Iterable[str]) -> list[str]:
    return sorted(set(names))
