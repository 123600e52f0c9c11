"""The settings of a running instance: what an admin changes without touching a file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import unquote, urlsplit
from zoneinfo import available_timezones

from sqlalchemy import Connection, Table, select

from tinybase.db import Database, tables, utcnow
from tinybase.db.upsert import insert
from tinybase.errors import BadRequest

_settings: Table = tables.settings
_counters: Table = tables.counters


@dataclass(frozen=True, slots=True)
class Definition:
    """One setting: its type, what holds while nobody sets it, and its bounds.

    ``None`` as a default means that the setting may be empty. A secret can be set but is
    never shown.
    """

    key: str
    type: type[bool] | type[int] | type[str]
    default: bool | int | str | None
    minimum: int | None = None
    min_length: int | None = None
    max_length: int | None = None
    is_secret: bool = False

    @property
    def is_nullable(self) -> bool:
        """Say whether the setting may be empty."""
        return self.default is None


DEFINITIONS: Mapping[str, Definition] = {
    definition.key: definition
    for definition in (
        Definition("instance_name", str, "TinyBase", min_length=1, max_length=100),
        Definition("allow_public_registration", bool, True),
        Definition("server_timezone", str, "UTC", max_length=50),
        Definition("token_cleanup_interval", int, 60, minimum=1),
        Definition("metrics_collection_interval", int, 360, minimum=1),
        Definition("scheduler_function_timeout_seconds", int, None, minimum=1),
        Definition("scheduler_max_schedules_per_tick", int, None, minimum=1),
        Definition("scheduler_max_concurrent_executions", int, None, minimum=1),
        Definition("max_concurrent_functions_per_user", int, None, minimum=1),
        Definition("storage_enabled", bool, False),
        Definition("storage_endpoint", str, None, max_length=500),
        Definition("storage_bucket", str, None, max_length=100),
        Definition("storage_region", str, None, max_length=50),
        Definition("storage_access_key", str, None, max_length=200, is_secret=True),
        Definition("storage_secret_key", str, None, max_length=200, is_secret=True),
        Definition("auth_portal_enabled", bool, False),
        Definition("auth_portal_logo_url", str, None, max_length=500),
        Definition("auth_portal_background_image_url", str, None, max_length=500),
        Definition("auth_portal_primary_color", str, None, max_length=50),
        Definition("auth_portal_login_redirect_url", str, None, max_length=500),
        Definition("auth_portal_register_redirect_url", str, None, max_length=500),
    )
}

_REDIRECTS = ("auth_portal_login_redirect_url", "auth_portal_register_redirect_url")


class Settings:
    """Reads and changes the settings; every worker sees a change at once."""

    def __init__(self, database: Database, *, clock: Callable[[], datetime] = utcnow) -> None:
        self._database = database
        self._clock = clock

    def get(self) -> dict[str, Any]:
        """Return every setting but the secrets, and when one was last changed."""
        with self._database.connect() as connection:
            values, updated_at = _read(connection)
        public = {
            key: values[key] for key, definition in DEFINITIONS.items() if not definition.is_secret
        }
        return {**public, "updated_at": updated_at}

    def value(self, key: str) -> Any:
        """Return one setting; a secret too.

        :raises KeyError: if there is no such setting.
        """
        default = DEFINITIONS[key].default
        statement = select(_settings.c.value).where(_settings.c.key == key)
        with self._database.connect() as connection:
            row = connection.execute(statement).one_or_none()
        return default if row is None else row.value

    def update(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change some settings, or none of them; return all.

        ``None`` keeps a setting, ``""`` empties one that may be empty. Types and bounds have
        been checked by whoever calls.

        :raises BadRequest: ``invalid_timezone`` or ``invalid_redirect_url``.
        """
        wanted = {
            key: None if value == "" and DEFINITIONS[key].is_nullable else value
            for key, value in changes.items()
            if key in DEFINITIONS and value is not None
        }
        with self._database.write() as work:
            _take_turns(work.connection)
            before, _ = _read(work.connection)
            _require_consistent({**before, **wanted})
            now = self._clock()
            for key, value in wanted.items():
                if value != before[key]:
                    _write(work.connection, key, value, now)
        return self.get()


def _read(connection: Connection) -> tuple[dict[str, Any], datetime | None]:
    rows = connection.execute(select(_settings)).all()
    values: dict[str, Any] = {key: definition.default for key, definition in DEFINITIONS.items()}
    values |= {row.key: row.value for row in rows if row.key in values}
    return values, max((row.updated_at for row in rows), default=None)


def _write(connection: Connection, key: str, value: Any, now: datetime) -> None:
    new = {"value": value, "updated_at": now}
    statement = insert(connection, _settings).values(key=key, **new)
    connection.execute(statement.on_conflict_do_update(index_elements=[_settings.c.key], set_=new))


def _take_turns(connection: Connection) -> None:
    """Make two changes wait for one another, so that each is checked against the other."""
    statement = insert(connection, _counters).values(name="settings", value=1)
    connection.execute(
        statement.on_conflict_do_update(
            index_elements=[_counters.c.name], set_={"value": _counters.c.value + 1}
        )
    )


def _require_consistent(values: Mapping[str, Any]) -> None:
    if values["server_timezone"] not in available_timezones():
        raise BadRequest(
            "Unknown timezone. Use a name of the IANA database, such as Europe/Berlin.",
            code="invalid_timezone",
        )
    if not values["auth_portal_enabled"]:
        return
    for key in _REDIRECTS:
        if fault := _redirect_fault(values[key]):
            raise BadRequest(
                f"{key} {fault} while the auth portal is enabled.", code="invalid_redirect_url"
            )


def _redirect_fault(url: str | None) -> str | None:
    """Return what keeps a URL from being the place to which people are sent."""
    if not url:
        return "must be set"
    # Browsers read a backslash as a slash and drop line breaks: what we judge must be
    # what they see.
    if re.search(r"[\\\s\x00-\x1f\x7f]", url):
        return "must not contain backslashes, white space or control characters"
    try:
        parts = urlsplit(url)
        is_absolute = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        is_absolute = False
    if not is_absolute or parts.username is not None:
        return "must be an absolute http or https URL"
    path = posixpath.normpath("/" + _decoded(parts.path).replace("\\", "/").lstrip("/")).lower()
    if path == "/admin" or path.startswith("/admin/"):
        return "must not lead to the admin interface"
    return None


def _decoded(path: str) -> str:
    """Undo percent-encoding until none is left."""
    while (decoded := unquote(path)) != path:
        path = decoded
    return path
