"""Whether a caller has the level that an operation asks for."""

from __future__ import annotations

from dataclasses import replace

from tinybase.actors import Actor, ActorKind
from tinybase.api.operation import Who
from tinybase.errors import Forbidden, Unauthenticated

_READING = frozenset({"GET", "HEAD"})
_IN_PERSON = frozenset({Who.USER, Who.ADMIN_USER})


def admit(actor: Actor, who: Who, method: str) -> Actor:
    """Return the actor as which the operation runs.

    That is the caller; but an application token that may read what an admin may read is an
    admin for as long as it reads.

    :raises Unauthenticated: when somebody has to be signed in and nobody is.
    :raises Forbidden: when the caller's level does not suffice.
    """
    if who is Who.PUBLIC:
        return actor
    if actor.kind is ActorKind.APPLICATION:
        return _admit_application(actor, who, method)
    if who in (Who.OPEN, Who.RULE, Who.FUNCTION):
        return actor
    if actor.is_anonymous:
        raise Unauthenticated("Sign in first: send an access token as Authorization: Bearer.")
    if who is not Who.USER and not actor.is_admin:
        raise Forbidden("Only an admin may do this.", code="admin_required")
    return actor


def _admit_application(actor: Actor, who: Who, method: str) -> Actor:
    if who in _IN_PERSON:
        raise Forbidden(
            "Application tokens cannot do this; sign in as a user.", code="user_required"
        )
    if "admin" in actor.scopes:
        return actor
    if who is Who.METRICS and "metrics" in actor.scopes:
        return actor
    if "read" in actor.scopes and method in _READING:
        return replace(actor, scopes=actor.scopes | {"admin"})
    raise Forbidden("The token's scopes do not cover this.", code="scope_required")
