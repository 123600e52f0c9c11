"""What one caller may do and see in one collection where extensions have a say in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar
from uuid import UUID

from pluggy import HookCaller

from tinybase.actors import Actor, ActorKind
from tinybase.collections.access import Operation, only_readable, record_not_found
from tinybase.collections.collection import Collection
from tinybase.collections.listeners import Deciders
from tinybase.collections.query import SYSTEM_FIELDS
from tinybase.collections.record import RecordRow
from tinybase.collections.sight import Find, Sight
from tinybase.collections.terms import Condition, SortKey, Term, terms_of
from tinybase.db.reading import Statement
from tinybase.errors import BadRequest, TinyBaseError
from tinybase.host import caused_by, event_facts
from tinybase.host.answers import Attributed
from tinybase_hookspecs import AccessEvent, RecordFilterEvent, RecordRedactEvent

_E = TypeVar("_E", AccessEvent, RecordFilterEvent, RecordRedactEvent)

Lookup = Callable[[Collection, Sequence[Condition]], tuple[Statement, dict[str, Any]]]
"""Gives the statement for one record that meets conditions, and its parameters."""

_MAY_BE_HIDDEN = "A field of these may be hidden from you; do not"
_ABOUT_NO_RECORD = frozenset({Operation.LIST, Operation.CREATE})


class GuidedSight(Sight):
    """The rules of the collection, and what extensions say to them; each is asked when it matters.

    About listing and creating they are asked beforehand, about the rest when the record is
    there. Then whoever the rules refuse gets past :meth:`admit`, and :meth:`absent` and
    :meth:`check` tell them the refusal that they would have met with there.
    """

    is_plain = False

    def __init__(
        self, actor: Actor, collection: Collection, deciders: Deciders, lookup: Lookup
    ) -> None:
        super().__init__(actor, collection)
        self.redacts = deciders.redact is not None
        self._deciders = deciders
        self._lookup = lookup
        self._decided: dict[Operation, bool | None] = {}
        self._conditions: dict[Operation, Sequence[Condition]] = {}

    def ask_beforehand(self, *operations: Operation) -> None:
        """Ask what can be asked before a transaction, so that nobody waits for that."""
        for operation in operations:
            if operation not in _ABOUT_NO_RECORD:
                self.conditions(operation)

    def admits(self, operation: Operation) -> bool:
        """Say whether the caller may do this, as far as no record is looked at."""
        if self._deciders.access is not None and operation not in _ABOUT_NO_RECORD:
            return True
        decided = self._decision(operation)
        return super().admits(operation) if decided is None else decided

    def absent(self, operation: Operation, record_id: UUID) -> TinyBaseError:
        """Return what to tell a caller who wants to do this with a record that is not there."""
        if super().admits(operation):
            return record_not_found(record_id)
        return self.refused(operation)

    def check(self, find: Find, operation: Operation, record: RecordRow) -> None:
        """Refuse a caller who may not do this with a record that they may know of.

        :raises TinyBaseError: the error for one that is not there, or ``Forbidden`` when the
            caller may read it.
        """
        if self._admits_to(operation, record):
            return
        if super().admits(operation) and not operation.only_reads and self.may_read(find, record):
            raise only_readable()
        raise self.absent(operation, record.id)

    def may_read(self, find: Find, record: RecordRow) -> bool:
        """Say whether the caller may read a record."""
        is_seen = self.sees(find, Operation.READ, record.id)
        return is_seen and self._admits_to(Operation.READ, record)

    def sees(self, find: Find, operation: Operation, record_id: UUID) -> bool:
        """Say whether a record that has this id, if there is one, exists for the caller."""
        conditions = self.conditions(operation)
        if not conditions:
            return True
        statement, values = self._lookup(self.collection, conditions)
        return find(statement, {**values, "record_id": str(record_id)}) is not None

    def only_of(self, operation: Operation) -> UUID | None:
        """Return whose records the caller is confined to."""
        return None if self._decision(operation) else super().only_of(operation)

    def conditions(self, operation: Operation) -> Sequence[Condition]:
        """Return what a record must meet to exist for the caller."""
        known = self._conditions.get(operation)
        if known is None:
            known = self._conditions[operation] = self._ask_for_conditions(operation)
        return known

    def check_search(self, filters: Sequence[Term], sort: Sequence[SortKey]) -> None:
        """Refuse a list that would tell the caller what they are not shown.

        :raises BadRequest: ``invalid_filter`` or ``invalid_sort``.
        """
        # An admin in person could switch the extension off; a token cannot.
        if self._deciders.redact is None or self.actor.kind is ActorKind.ADMIN:
            return
        if any(self._is_redactable(term.field) for term in filters):
            raise BadRequest(f"{_MAY_BE_HIDDEN} filter by it.", code="invalid_filter")
        if any(self._is_redactable(key.field) for key in sort):
            raise BadRequest(f"{_MAY_BE_HIDDEN} sort by it.", code="invalid_sort")

    def shown(self, record: RecordRow) -> RecordRow:
        """Return a record as the caller gets it."""
        redact = self._deciders.redact
        if redact is None:
            return record
        about = (self.collection.name, record.id, record.data, record.owner_id)
        event, _ = self._call(redact, RecordRedactEvent, *about)
        return replace(record, data=event.data)

    def _admits_to(self, operation: Operation, record: RecordRow) -> bool:
        decided = self._ask(operation, record)
        if decided is None:
            return self.collection.rules.admits_to(self.actor, operation, record.owner_id)
        return decided

    def _decision(self, operation: Operation) -> bool | None:
        """Return what was decided about an operation that is about no record."""
        if operation not in self._decided:
            self._decided[operation] = self._ask(operation, None)
        return self._decided[operation]

    def _ask(self, operation: Operation, record: RecordRow | None) -> bool | None:
        access = self._deciders.access
        if access is None:
            return None
        about: tuple[Any, ...] = (None, None, None)
        if record is not None:
            data = self.collection.compiled.show(record.data)
            about = (record.id, data, record.owner_id)
        _, answer = self._call(access, AccessEvent, operation.value, self.collection.name, *about)
        if answer is None or isinstance(answer, bool):
            return answer
        _refuse_wrapper(TypeError(f"{type(answer).__name__} is not True, False or None"))
        return False

    def _ask_for_conditions(self, operation: Operation) -> Sequence[Condition]:
        filters = self._deciders.filters
        if filters is None:
            return ()
        about = (operation.value, self.collection.name)
        _, answers = self._call(filters, RecordFilterEvent, *about)
        return [_condition(answer) for answer in answers if answer]

    def _is_redactable(self, name: str) -> bool:
        bare, redactable = name.removeprefix("data."), self._deciders.redactable
        if name in SYSTEM_FIELDS or bare not in self.collection.compiled.specs:
            return False
        return redactable is None or bare in redactable

    def _call(self, hook: HookCaller, kind: type[_E], *about: Any) -> tuple[_E, Any]:
        """Call a hook with an event that the caller has caused; return both it and the answer."""
        with caused_by(actor=self.actor):
            event = kind(*about, **event_facts())
            return event, hook(event=event)


def _condition(answer: Mapping[str, Any]) -> Condition:
    refuse = answer.refuse if isinstance(answer, Attributed) else _refuse_wrapper
    try:
        return Condition(terms_of(answer), refuse)
    except BadRequest as error:
        refuse(error)
        raise


def _refuse_wrapper(error: Exception) -> None:
    """Refuse what no implementation has answered, but somebody around them all."""
    raise TinyBaseError(
        f"A wrapper of the hook of an extension gave a bad answer: {error}",
        code="extension_error",
    ) from error
