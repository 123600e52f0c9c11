"""The rows behind users, and the rules that hold inside a transaction."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Insert,
    Row,
    Select,
    Table,
    Update,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from tinybase.actors import Actor, ActorKind
from tinybase.db import tables
from tinybase.errors import BadRequest, Forbidden, NotFound

users: Table = tables.users
tokens: Table = tables.tokens


@dataclass(frozen=True, slots=True)
class Account:
    """A user as everybody may see it: without the password's hash."""

    id: UUID
    email: str
    is_admin: bool
    is_active: bool
    created_at: datetime
    updated_at: datetime


def select_accounts() -> Select[Any]:
    """Begin a query for users; :func:`account` reads its rows."""
    return select(*(users.c[name] for name in Account.__dataclass_fields__))


def account(row: Row[Any]) -> Account:
    """Read a user out of a row that has at least the columns of one."""
    return Account(*(getattr(row, name) for name in Account.__dataclass_fields__))


def store(connection: Connection, statement: Insert | Update) -> None:
    """Write a user; of two with one address, whoever comes second is refused.

    :raises BadRequest: ``email_taken``.
    """
    try:
        connection.execute(statement)
    except IntegrityError as error:
        raise BadRequest(
            "There is already an account with this e-mail address.", code="email_taken"
        ) from error


def lock(connection: Connection, user_id: UUID) -> Row[Any]:
    """Return a user's whole row, which stays as it is until the transaction ends.

    :raises NotFound: if there is none.
    """
    row = find_and_lock(connection, users.c.id == user_id)
    if row is None:
        raise no_user(user_id)
    return row


def find_and_lock(connection: Connection, which: ColumnElement[bool]) -> Row[Any] | None:
    """Return the row of one user, as :func:`lock` does, or ``None``.

    Whoever changes a user's tokens takes this lock first: always the same order, so no
    deadlock.
    """
    return connection.execute(select(users).where(which).with_for_update()).one_or_none()


def lock_admins(connection: Connection) -> Set[UUID]:
    """Return the active admins; nobody else can take one away until the transaction ends.

    Taken before the lock of a single user.
    """
    statement = (
        select(users.c.id)
        .where(users.c.is_admin, users.c.is_active)
        .order_by(users.c.id)
        .with_for_update()
    )
    return set(connection.execute(statement).scalars())


def require_another(admins: Set[UUID], user_id: UUID) -> None:
    """Pass if an active admin remains without this user.

    :raises BadRequest: ``last_admin``.
    """
    if admins == {user_id}:
        raise BadRequest(
            "This is the last active administrator. Make somebody else one first.",
            code="last_admin",
        )


def require_person(actor: Actor, *, touches_admin: bool) -> None:
    """Pass unless an application token is about to make or change an admin.

    :raises Forbidden: ``user_required``.
    """
    if touches_admin and actor.kind is ActorKind.APPLICATION:
        raise Forbidden(
            "An application token cannot manage administrators. Sign in as one.",
            code="user_required",
        )


def revoke(connection: Connection, which: ColumnElement[bool], *, now: datetime) -> int:
    """Kill tokens; return how many of them were alive."""
    alive = tokens.c.revoked_at.is_(None) & (tokens.c.expires_at > now)
    statement = update(tokens).where(which & alive).values(revoked_at=now)
    return connection.execute(statement).rowcount


def no_user(user_id: UUID) -> NotFound:
    """Return the fault of a user who does not exist."""
    return NotFound(f"There is no user {user_id}.")
