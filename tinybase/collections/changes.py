"""What a new schema does to the records that exist."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Connection,
    Tuple,
    false,
    func,
    literal,
    or_,
    select,
    tuple_,
)

from tinybase.collections.compiled import DATA, CompiledSchema, equal
from tinybase.collections.expressions import RECORDS, Expressions, in_collection
from tinybase.collections.spec import FieldSpec
from tinybase.errors import Conflict, Fault

MOST_CONFLICTS = 20
_CHUNK = 500
_FILLED_AT_ONCE = 250

Place = tuple[datetime, UUID]
"""When a record was created, and its id."""

BEGINNING: Place = datetime(1, 1, 1, tzinfo=UTC), UUID(int=0)
"""No record is older."""


@dataclass(frozen=True, slots=True)
class RecordConflict:
    """A record that would be invalid under the new schema."""

    record_id: UUID
    faults: Sequence[Fault]

    def as_dict(self) -> dict[str, Any]:
        """Return it as answers carry it."""
        return {
            "record_id": str(self.record_id),
            "errors": [fault.as_dict() for fault in self.faults],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """What a change of schema meets with: the first conflicts of each kind.

    ``duplicates`` break a unique index, which nothing can force.
    """

    records_checked: int
    invalid: Sequence[RecordConflict] = ()
    duplicates: Sequence[RecordConflict] = ()

    @property
    def conflicts(self) -> list[dict[str, Any]]:
        """Return the first conflicts as answers carry them."""
        first = [*self.duplicates, *self.invalid][:MOST_CONFLICTS]
        return [conflict.as_dict() for conflict in first]

    def as_dict(self) -> dict[str, Any]:
        """Return the answer to a dry run."""
        conflicts = self.conflicts
        return {
            "valid": not conflicts,
            "records_checked": self.records_checked,
            "conflicts": conflicts,
        }

    def check(self, *, force: bool) -> None:
        """Refuse the change if it cannot be made.

        :param force: put up with invalid records.
        :raises Conflict: ``schema_conflict`` with the conflicts.
        """
        if self.duplicates:
            detail = "Records have the same value of a field that is to be unique; change them."
        elif self.invalid and not force:
            detail = "Records do not fit the new schema; change them first, or force it."
        else:
            return
        raise Conflict(detail, code="schema_conflict", conflicts=self.conflicts)


class SchemaChange:
    """The step from one schema of a collection to another.

    Only what the change concerns is checked: a field that stays as it is stays as valid as
    it is.
    """

    def __init__(
        self,
        expressions: Expressions,
        collection_id: UUID,
        before: CompiledSchema,
        after: CompiledSchema,
    ) -> None:
        self._expressions = expressions
        self._mine = in_collection(collection_id)
        self._old = before.specs
        self._new = after.specs.values()

    def report(self, connection: Connection) -> Report:
        """Check the records."""
        count = connection.scalar(select(func.count()).select_from(RECORDS).where(self._mine))
        return Report(
            records_checked=count or 0,
            invalid=list(islice(self._invalid(connection), MOST_CONFLICTS)),
            duplicates=list(islice(self._duplicates(connection), MOST_CONFLICTS)),
        )

    def fill(self, connection: Connection) -> None:
        """Give every record the new fields, with the value that an absent field has.

        One that is null then need not be there. The records keep their version: nobody has
        written to them.
        """
        self._fill(connection, self._mine)

    def fill_some(self, connection: Connection, after: Place) -> Place | None:
        """Do what :meth:`fill` does for the next records; return the last, if there may be more.

        Where only what earlier fields have left is to be taken out, that is done at once.

        :param after: what the call before returned, or ``BEGINNING``.
        """
        if not self._rewrites:
            self._fill(connection, self._mine)
            return None
        beyond = self._mine & (_literal(after) < tuple_(*_OLDEST))
        nth = select(*_OLDEST).where(beyond).order_by(*_OLDEST).offset(_FILLED_AT_ONCE - 1)
        last = connection.execute(nth.limit(1)).one_or_none()
        if last is None:
            self._fill(connection, beyond)
            return None
        place = last.created_at, last.id
        self._fill(connection, beyond & (_literal(place) >= tuple_(*_OLDEST)))
        return place

    @property
    def _rewrites(self) -> bool:
        """Say whether records have to be written although nothing is left in them."""
        return any(map(self._was_another, self._new))

    def _fill(self, connection: Connection, those: ColumnElement[bool]) -> None:
        for specs, wanting in self._fillings():
            data = self._expressions.with_fields(specs)
            connection.execute(RECORDS.update().where(those, wanting).values(data=data))

    def _fillings(self) -> Iterator[tuple[Sequence[FieldSpec], ColumnElement[bool]]]:
        """Return fields to set to what they are when absent, and in which records."""
        added = [spec for spec in self._new if spec.name not in self._old]
        if added:
            yield added, or_(*map(self._is_wanting, added))
        for spec in self._new:
            old = self._old.get(spec.name)
            if old is not None and self._was_another(spec):
                # A record without the field has had the old value all the time.
                yield [old], self._expressions.is_absent(old)

    def _was_another(self, spec: FieldSpec) -> bool:
        """Say whether a field was something else when it was absent; one that is new was null."""
        old = self._old.get(spec.name)
        return not equal({"": old and old.absent}, {"": spec.absent})

    def _is_wanting(self, spec: FieldSpec) -> ColumnElement[bool]:
        """Return whether a record has not what is to be there: an earlier field may be left."""
        if spec.absent is None:
            return ~self._expressions.is_null(spec)
        return self._expressions.differs(spec)

    def _invalid(self, connection: Connection) -> Iterator[RecordConflict]:
        changed = [spec for spec in self._new if self._can_break(spec)]
        if not changed:
            return
        checker = CompiledSchema(changed)
        kept = [spec.name for spec in changed if spec.name in self._old]
        statement = select(RECORDS.c.id, RECORDS.c.data).where(self._mine).order_by(*_OLDEST)
        # The result is closed in any case: SQLite makes no index while somebody reads.
        with connection.execute(statement.execution_options(yield_per=_CHUNK)) as rows:
            for row in rows:
                faults = checker.faults({name: row.data[name] for name in kept if name in row.data})
                if faults:
                    yield RecordConflict(row.id, faults)

    def _can_break(self, spec: FieldSpec) -> bool:
        old = self._old.get(spec.name)
        return spec.must_be_given if old is None else _shape(old) != _shape(spec)

    def _duplicates(self, connection: Connection) -> Iterator[RecordConflict]:
        for spec in self._new:
            old = self._old.get(spec.name)
            if not spec.unique or (old is not None and old.unique):
                continue
            duplicated = self._alike(spec) if old else self._filled_alike(spec)
            statement = select(RECORDS.c.id).where(self._mine, duplicated).order_by(*_OLDEST)
            fault = Fault((*DATA, spec.name), "Another record has the same value.", "unique")
            for record_id in connection.scalars(statement.limit(MOST_CONFLICTS)):
                yield RecordConflict(record_id, [fault])

    def _alike(self, spec: FieldSpec) -> ColumnElement[bool]:
        value = self._expressions.value(spec)
        several = select(value).where(self._mine).group_by(value).having(func.count() > 1)
        # NULL is in no list, so any number of records may have none.
        return value.in_(several)

    def _filled_alike(self, spec: FieldSpec) -> ColumnElement[bool]:
        if spec.default is None:
            return false()
        count = select(func.count()).select_from(RECORDS).where(self._mine).scalar_subquery()
        return count > 1


_OLDEST = (RECORDS.c.created_at, RECORDS.c.id)


def _literal(place: Place) -> Tuple:
    return tuple_(*[literal(it, column.type) for it, column in zip(place, _OLDEST, strict=True)])


def _shape(spec: FieldSpec) -> FieldSpec:
    """Return what of a field decides whether a stored value is valid."""
    default = spec.default if spec.required else None
    return replace(spec, default=default, unique=False, indexed=False)
