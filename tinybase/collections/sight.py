"""What one caller may do and see in one collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any
from uuid import UUID

from tinybase.actors import Actor
from tinybase.collections.access import Operation, check_owner, record_not_found, refusal
from tinybase.collections.collection import Collection
from tinybase.collections.record import RecordRow
from tinybase.collections.terms import Condition, SortKey, Term
from tinybase.db.reading import Statement
from tinybase.errors import TinyBaseError

Find = Callable[[Statement, Mapping[str, Any]], Sequence[Any] | None]
"""Finds the only row of a statement, inside of a transaction or outside."""


class Sight:
    """What the rules of the collection say; no extension is asked.

    ``is_plain`` says so: what is stored is what the caller gets, if they are admitted.
    ``redacts`` says that something else may be shown.
    """

    is_plain = True
    redacts = False

    def __init__(self, actor: Actor, collection: Collection) -> None:
        self.actor = actor
        self.collection = collection

    def admit(self, *operations: Operation) -> None:
        """Refuse a caller who may do none of these, as far as no record is looked at.

        :raises TinyBaseError: the refusal of the first.
        """
        for operation in operations:
            if self.admits(operation):
                return
        raise self.refused(operations[0])

    def ask_beforehand(self, *operations: Operation) -> None:
        """Ask what can be asked before a transaction, so that nobody waits for that."""

    def admits(self, operation: Operation) -> bool:
        """Say whether the caller may do this, as far as no record is looked at."""
        return self.collection.rules.admits(self.actor, operation)

    def refused(self, operation: Operation) -> TinyBaseError:
        """Return what to tell a caller who may not do this."""
        return refusal(self.collection.rules, self.actor, operation, self.collection.name)

    def absent(self, operation: Operation, record_id: UUID) -> TinyBaseError:  # noqa: ARG002
        """Return what to tell a caller who wants to do this with a record that is not there."""
        return record_not_found(record_id)

    def check(self, find: Find, operation: Operation, record: RecordRow) -> None:  # noqa: ARG002
        """Refuse a caller who may not do this with a record that they may know of.

        :raises Forbidden: when the caller may read the record, but not change it.
        :raises NotFound: when the caller may not know of it after all.
        """
        rules = self.collection.rules
        check_owner(rules, self.actor, operation, record.owner_id, record.id)

    def may_read(self, find: Find, record: RecordRow) -> bool:  # noqa: ARG002
        """Say whether the caller may read a record."""
        return self.collection.rules.admits_to(self.actor, Operation.READ, record.owner_id)

    def sees(self, find: Find, operation: Operation, record_id: UUID) -> bool:  # noqa: ARG002
        """Say whether a record that has this id, if there is one, exists for the caller."""
        return True

    def only_of(self, operation: Operation) -> UUID | None:
        """Return whose records the caller is confined to."""
        own = self.collection.rules.only_own(self.actor, operation)
        return self.actor.user_id if own else None

    def conditions(self, operation: Operation) -> Sequence[Condition]:  # noqa: ARG002
        """Return what a record must meet to exist for the caller."""
        return ()

    def check_search(self, filters: Sequence[Term], sort: Sequence[SortKey]) -> None:
        """Refuse a list that would tell the caller what they are not shown.

        :raises BadRequest: ``invalid_filter`` or ``invalid_sort``.
        """

    def shown(self, record: RecordRow) -> RecordRow:
        """Return a record as the caller gets it."""
        return record
