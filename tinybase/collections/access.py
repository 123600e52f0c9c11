"""Who may do what with the records of a collection, and what a refused caller is told.

A caller must not learn from a refusal whether something exists that they may not see: the
errors for "hidden" and "missing" are made in the same place here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from tinybase.actors import Actor, ActorKind
from tinybase.errors import Forbidden, NotFound, TinyBaseError, Unauthenticated


class Operation(StrEnum):
    """What can be done with records."""

    LIST = "list"
    READ = "read"
    CREATE = "create"
    UPDATE = "update"
    DELETE = "delete"

    @property
    def only_reads(self) -> bool:
        """Say whether nothing is changed by it."""
        return self in (Operation.LIST, Operation.READ)


class Rule(StrEnum):
    """Whom an operation is open to; admins pass every rule."""

    PUBLIC = "public"
    AUTH = "auth"
    OWNER = "owner"
    ADMIN = "admin"

    @classmethod
    def of(cls, value: object) -> Rule:
        """Return the rule of a name; an unknown one is for admins only."""
        return next((rule for rule in cls if rule == value), cls.ADMIN)


_DEFAULTS: Mapping[str, Mapping[Operation, Rule]] = {
    default: {
        Operation.LIST: reading,
        Operation.READ: reading,
        Operation.CREATE: Rule.AUTH,
        Operation.UPDATE: Rule.OWNER,
        Operation.DELETE: Rule.OWNER,
    }
    for default, reading in (("private", Rule.OWNER), ("compatible", Rule.PUBLIC))
}


@dataclass(frozen=True, slots=True)
class Access:
    """The effective rules of one collection."""

    rules: Mapping[Operation, Rule]

    def rule(self, operation: Operation) -> Rule:
        """Return the rule of an operation."""
        return self.rules[operation]

    def can_admit(self, actor: Actor) -> bool:
        """Say whether the caller sees the collection: some rule could let them in."""
        if passes_all(actor, Operation.LIST):
            return True
        return any(_admits(rule, actor) for rule in self.rules.values())

    def admits(self, actor: Actor, operation: Operation) -> bool:
        """Say whether the rule lets the caller in, as far as no record is looked at."""
        return _admits(self.rules[operation], actor) or passes_all(actor, operation)

    def admits_to(self, actor: Actor, operation: Operation, owner_id: UUID | None) -> bool:
        """Say whether the caller may do it with a record of this owner."""
        if self.only_own(actor, operation) and not owns(actor, owner_id):
            return False
        return self.admits(actor, operation)

    def only_own(self, actor: Actor, operation: Operation) -> bool:
        """Say whether the caller is confined to their own records."""
        return self.rules[operation] is Rule.OWNER and not passes_all(actor, operation)

    def as_dict(self) -> dict[str, str]:
        """Return the rules as the collection object shows them."""
        return {operation.value: rule.value for operation, rule in self.rules.items()}


def effective_access(given: Mapping[Operation, Rule], default: str) -> Access:
    """Complete the rules that a collection states.

    :param default: the setting ``collections.default_access``.
    """
    rules = dict(given)
    # A restricted read must not leave the list open, nor the other way round.
    for one, other in ((Operation.LIST, Operation.READ), (Operation.READ, Operation.LIST)):
        if one in given and other not in given:
            rules[other] = given[one]
    defaults = _DEFAULTS[default]
    return Access({operation: rules.get(operation, defaults[operation]) for operation in Operation})


def passes_all(actor: Actor, operation: Operation) -> bool:
    """Say whether every rule lets the caller do this."""
    if actor.is_admin:
        return True
    return actor.kind is ActorKind.APPLICATION and "read" in actor.scopes and operation.only_reads


def owns(actor: Actor, owner_id: UUID | None) -> bool:
    """Say whether a record of this owner is the caller's; an ownerless one is nobody's."""
    return owner_id is not None and actor.user_id == owner_id


def refusal(access: Access | None, actor: Actor, operation: Operation, name: str) -> TinyBaseError:
    """Return what to tell a caller who is not admitted.

    The rule may admit them where an extension does not.

    :param access: ``None`` when there is no such collection.
    :param name: what the caller asked for.
    """
    if actor.is_anonymous:
        if operation.only_reads:
            return Forbidden("You may not read this. Sign in, and try again.")
        return Unauthenticated("Sign in first.")
    if actor.kind is ActorKind.APPLICATION and not passes_all(actor, operation):
        return Forbidden("The token has no scope for this.", code="scope_required")
    if access is None or not access.can_admit(actor):
        return collection_not_found(name)
    if access.admits(actor, operation):
        return Forbidden("This collection does not admit you to this.")
    return Forbidden(f"The rule '{access.rule(operation)}' of this collection does not admit you.")


def check_owner(
    access: Access, actor: Actor, operation: Operation, owner_id: UUID | None, record_id: UUID
) -> None:
    """Refuse a caller to whom the rule does not give this record.

    :raises Forbidden: when the caller may read the record, but not change it.
    :raises NotFound: when the caller may not know of it.
    """
    if access.admits_to(actor, operation, owner_id):
        return
    if access.admits_to(actor, Operation.READ, owner_id):
        raise only_readable()
    raise record_not_found(record_id)


def collection_not_found(name: str) -> NotFound:
    """Return the error for a collection that is missing, or that the caller may not see."""
    return NotFound(f"Collection '{name}' not found")


def only_readable() -> Forbidden:
    """Return the error for a record that the caller may see, and nothing else."""
    return Forbidden("You may read this record, but not change it.")


def record_not_found(record_id: UUID) -> NotFound:
    """Return the error for a record that is missing, or that the caller may not see."""
    return NotFound(f"Record '{record_id}' not found")


def _admits(rule: Rule, actor: Actor) -> bool:
    if rule is Rule.PUBLIC:
        # A token can do what its scopes say and no more.
        return actor.kind is not ActorKind.APPLICATION
    is_signed_in = actor.kind is ActorKind.USER and actor.user_id is not None
    return is_signed_in and rule is not Rule.ADMIN
