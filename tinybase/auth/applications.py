"""Application tokens: access for programs, independent of any user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Row, and_, insert, or_, select, update
from uuid_utils.compat import uuid7

from tinybase.auth.accounts import tokens
from tinybase.auth.opaque import TokenKind, digest, new_value
from tinybase.config import Config
from tinybase.db import Database, utcnow
from tinybase.errors import NotFound, Unavailable

SCOPES = ("admin", "read", "metrics")

_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ApplicationToken:
    """A token as admins see it: without its value, which nobody has but its holder."""

    id: UUID
    name: str
    description: str | None
    scopes: Sequence[str]
    created_at: datetime
    last_used_at: datetime | None
    expires_at: datetime
    is_active: bool
    is_valid: bool


class ApplicationTokens:
    """Creates, changes and revokes the tokens of programs."""

    def __init__(
        self, database: Database, config: Config, *, clock: Callable[[], datetime] = utcnow
    ) -> None:
        self._database = database
        self._default_days = config.auth.application_token_days
        self._clock = clock

    def list(self) -> Sequence[ApplicationToken]:
        """Return all of them, the newest first, revoked and expired ones too."""
        newest = (tokens.c.created_at.desc(), tokens.c.id.desc())
        statement = select(tokens).where(_is_one()).order_by(*newest)
        with self._database.connect() as connection:
            return [self._seen(row) for row in connection.execute(statement)]

    def create(
        self,
        name: str,
        *,
        description: str | None = None,
        expires_days: int | None = None,
        scopes: Sequence[str] = ("admin",),
    ) -> tuple[ApplicationToken, str]:
        """Create a token; return it and its value, which cannot be had again."""
        value = new_value(TokenKind.APPLICATION)
        token_id, now = uuid7(), self._clock()
        row = {
            "id": token_id,
            "digest": digest(value),
            "kind": TokenKind.APPLICATION,
            "name": name,
            "description": description or None,
            "scopes": _ordered(scopes),
            "created_at": now,
            "expires_at": now + timedelta(days=expires_days or self._default_days),
        }
        with self._database.write() as work:
            work.connection.execute(insert(tokens).values(row))
        return self.get(token_id), value

    def get(self, token_id: UUID) -> ApplicationToken:
        """Return a token.

        :raises NotFound: if there is none.
        """
        statement = select(tokens).where(_is_one(), tokens.c.id == token_id)
        with self._database.connect() as connection:
            row = connection.execute(statement).one_or_none()
        if row is None:
            raise NotFound(f"There is no application token {token_id}.")
        return self._seen(row)

    def update(
        self,
        token_id: UUID,
        *,
        name: str | None = None,
        description: str | None = None,
        is_active: bool | None = None,
        scopes: Sequence[str] | None = None,
    ) -> ApplicationToken:
        """Change a token; ``None`` keeps, an empty description removes it.

        :raises NotFound: if there is no such token.
        """
        changes: dict[str, Any] = {}
        if name is not None:
            changes["name"] = name
        if description is not None:
            changes["description"] = description or None
        if is_active is not None:
            changes["revoked_at"] = None if is_active else self._clock()
        if scopes is not None:
            changes["scopes"] = _ordered(scopes)
        if changes:
            self._write(token_id, changes)
        return self.get(token_id)

    def revoke(self, token_id: UUID) -> None:
        """Switch a token off; it stays in the list.

        :raises NotFound: if there is no such token.
        """
        self.update(token_id, is_active=False)

    def note_use(self, token_id: UUID, last_used_at: datetime | None) -> None:
        """Write down that a token was used, at most once a minute.

        It is not worth a failed request: a busy database means that it is written later.
        """
        now = self._clock()
        if last_used_at is not None and abs(now - last_used_at) < _NOTED_EVERY:
            return
        is_due = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at <= now - _NOTED_EVERY)
        statement = update(tokens).where(tokens.c.id == token_id, is_due).values(last_used_at=now)
        try:
            with self._database.write() as work:
                work.connection.execute(statement)
        except Unavailable:
            return

    def _write(self, token_id: UUID, changes: dict[str, Any]) -> None:
        with self._database.write() as work:
            work.connection.execute(
                update(tokens).where(and_(_is_one(), tokens.c.id == token_id)).values(changes)
            )

    def _seen(self, row: Row[Any]) -> ApplicationToken:
        is_active = row.revoked_at is None
        return ApplicationToken(
            id=row.id,
            name=row.name,
            description=row.description,
            scopes=row.scopes,
            created_at=row.created_at,
            last_used_at=row.last_used_at,
            expires_at=row.expires_at,
            is_active=is_active,
            is_valid=is_active and row.expires_at > self._clock(),
        )


def _is_one() -> ColumnElement[bool]:
    return tokens.c.kind == TokenKind.APPLICATION


def _ordered(scopes: Sequence[str]) -> list[str]:
    """Return each scope once, the mightiest first."""
    return [scope for scope in SCOPES if scope in scopes]
