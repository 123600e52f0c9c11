"""Who is asking."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
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
    application tokens. ``SYSTEM`` is the operator's own command line and code of the
    project: it passes every rule.
    """

    kind: ActorKind
    user_id: UUID | None = None
    email: str | None = None
    token_id: UUID | None = None
    session_id: UUID | None = None
    scopes: frozenset[str] = frozenset()

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
