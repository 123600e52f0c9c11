"""Who is asking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any
from uuid import UUID


class ActorKind(StrEnum):
    """The five kinds of caller."""

    ANONYMOUS = "anonymous"
    USER = "user"
    ADMIN = "admin"
    APPLICATION = "application"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Actor:
    """One caller, as far as the server has proof of it.

    ``user_id`` is ``None`` for everybody but users and admins. ``scopes`` belong to
    application tokens. ``claims`` is what extensions keep with the sign-in of this caller;
    it may be shared with other requests, so copy it before you hand it out. ``SYSTEM`` is
    the operator's own command line and code of the server: it passes every rule.
    ``extension`` is whose code that is, ``project`` for the operator's own.
    """

    kind: ActorKind
    user_id: UUID | None = None
    email: str | None = None
    token_id: UUID | None = None
    session_id: UUID | None = None
    scopes: frozenset[str] = frozenset()
    claims: Mapping[str, Any] = field(default_factory=dict, hash=False)
    extension: str | None = None

    @property
    def is_admin(self) -> bool:
        """Say whether every access rule lets this caller pass."""
        return self.kind in (ActorKind.ADMIN, ActorKind.SYSTEM) or (
            self.kind is ActorKind.APPLICATION and "admin" in self.scopes
        )

    @property
    def is_anonymous(self) -> bool:
        """Say whether nothing is known about the caller."""
        return self.kind is ActorKind.ANONYMOUS


ANONYMOUS = Actor(ActorKind.ANONYMOUS)
SYSTEM = Actor(ActorKind.SYSTEM)
