"""The instance itself: what it is, and whether it is well."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from sqlalchemy.exc import SQLAlchemyError

from tinybase import __version__
from tinybase.api import fields
from tinybase.api.operation import Call, Operations, Who
from tinybase.api.schemas import Schema
from tinybase.api.services import Services
from tinybase.db import migrate
from tinybase.errors import TinyBaseError, Unavailable

log = logging.getLogger(__name__)

OK, DEGRADED, FAILED = "ok", "degraded", "failed"
_REMEMBERED_SECONDS = 1.0


class RootResponse(Schema):
    """What this server is, and where to go on."""

    name = fields.String(required=True)
    version = fields.String(required=True)
    docs = fields.String(required=True, allow_none=True)
    openapi = fields.String(required=True)
    admin = fields.String(required=True, allow_none=True)
    auth = fields.String(required=True, allow_none=True)


class HealthResponse(Schema):
    """That the process answers."""

    status = fields.String(required=True)


class ReadyChecks(Schema):
    """What a request needs."""

    database = fields.String(required=True)
    migrations = fields.String(required=True)
    extensions = fields.String(
        required=True,
        metadata={"description": "degraded while one does not run as it should; the rest does."},
    )


class ReadyResponse(Schema):
    """That requests can be answered."""

    status = fields.String(required=True)
    checks = fields.Nested(ReadyChecks, required=True)


class Readiness:
    """Checks whether requests can be answered, at most once a second."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._known_until = float("-inf")
        self._checks: Mapping[str, str] = {}

    def checks(self) -> Mapping[str, str]:
        """Return every check with ``ok``, ``degraded`` or ``failed``."""
        now = time.monotonic()
        if now >= self._known_until:
            self._checks = self._look()
            self._known_until = now + _REMEMBERED_SECONDS
        return self._checks

    def _look(self) -> Mapping[str, str]:
        database, migrations = self._look_at_database()
        extensions = FAILED
        if self._services.host.is_loaded:
            is_healthy = self._services.host.is_healthy()
            extensions = OK if is_healthy and not _is_any_ill(self._services) else DEGRADED
        return {"database": database, "migrations": migrations, "extensions": extensions}

    def _look_at_database(self) -> tuple[str, str]:
        try:
            migrate.check(self._services.database.engine)
        except SQLAlchemyError as error:
            log.warning("The database cannot be reached: %s", error)
            return FAILED, FAILED
        except TinyBaseError as error:
            log.warning("The database cannot be used: %s", error)
            return OK, FAILED
        return OK, OK


def system_operations(services: Services) -> Operations:
    """Label the operations of one application; it remembers the outcome of its checks."""
    operations = Operations("system")
    readiness = Readiness(services)

    @operations.get("/", id="system_get_root", who=Who.PUBLIC, answers={200: RootResponse})
    def get_root(call: Call) -> object:
        """Say what this server is."""
        return {
            "name": "TinyBase",
            "version": __version__,
            "docs": "/docs" if call.services.config.api.docs else None,
            "openapi": "/openapi.json",
            "admin": None,
            "auth": None,
        }

    @operations.get(
        "/health", id="system_get_health", who=Who.PUBLIC, answers={200: HealthResponse}
    )
    def get_health(call: Call) -> object:
        """Say that the process answers; looks at nothing outside of it."""
        return {"status": DEGRADED if _is_any_ill(call.services) else "healthy"}

    @operations.get(
        "/healthz", id="system_get_healthz", who=Who.PUBLIC, answers={200: HealthResponse}
    )
    def get_healthz(call: Call) -> object:  # noqa: ARG001
        """Say that the process answers."""
        return {"status": "ok"}

    @operations.get(
        "/health/ready",
        id="system_get_ready",
        who=Who.PUBLIC,
        answers={200: ReadyResponse},
        errors=("not_ready",),
    )
    def get_ready(call: Call) -> object:  # noqa: ARG001
        """Say whether requests can be answered."""
        checks = readiness.checks()
        if FAILED in checks.values():
            raise Unavailable(
                "Not ready; the log has the reason.",
                headers={"Retry-After": "1"},
                checks=dict(checks),
            )
        return {"status": "ready", "checks": checks}

    return operations


def _is_any_ill(services: Services) -> bool:
    return any(state.is_ill for state in services.host.extensions())
