"""Several changes of records as one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any
from uuid import UUID

from tinybase.collections.access import Operation
from tinybase.collections.compiled import DATA
from tinybase.collections.preconditions import Versions
from tinybase.collections.record import RecordRow
from tinybase.collections.sight import Sight
from tinybase.collections.writing import Writing
from tinybase.errors import Fault, Invalid, TinyBaseError


class Op(StrEnum):
    """What a batch can do with a record; ``upsert`` replaces it, or creates it under the id."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    UPSERT = "upsert"
    DELETE = "delete"

    @property
    def rules(self) -> tuple[Operation, ...]:
        """Return the operations one of whose rules must admit the caller."""
        return _RULES[self]

    @property
    def is_whole(self) -> bool:
        """Say whether it brings a whole record."""
        return self in (Op.CREATE, Op.REPLACE, Op.UPSERT)


_RULES: Mapping[Op, tuple[Operation, ...]] = {
    Op.CREATE: (Operation.CREATE,),
    Op.UPDATE: (Operation.UPDATE,),
    Op.REPLACE: (Operation.UPDATE,),
    Op.UPSERT: (Operation.UPDATE, Operation.CREATE),
    Op.DELETE: (Operation.DELETE,),
}


@dataclass(frozen=True, slots=True)
class BatchOperation:
    """One change. All but a new record need an ``id``; ``version`` is the one to overwrite."""

    op: Op
    id: UUID | None = None
    data: Mapping[str, Any] | None = None
    version: int | None = None

    @property
    def if_match(self) -> Versions | None:
        """Return the versions that may be overwritten; ``None`` is any."""
        return None if self.version is None else Versions.of(self.version)


@dataclass(frozen=True, slots=True)
class BatchResult:
    """What became of one change; a deleted record is ``None``."""

    record: RecordRow | None
    is_new: bool = False

    def shown(self, sight: Sight) -> BatchResult:
        """Return it as the caller gets it."""
        return self if self.record is None else replace(self, record=sight.shown(self.record))


def carry_out(writing: Writing, operation: BatchOperation) -> BatchResult:
    """Carry out one change.

    :raises TinyBaseError: as the change would on its own.
    """
    data, if_match = operation.data or {}, operation.if_match
    if operation.op is Op.CREATE:
        return BatchResult(writing.create(data, record_id=operation.id), is_new=True)
    if operation.id is None:
        raise Invalid([Fault(("body", "data", "id"), "Say which record.", "required")])
    if operation.op is Op.DELETE:
        writing.delete(operation.id, if_match=if_match)
        return BatchResult(None)
    if operation.op is Op.UPSERT:
        return BatchResult(*writing.put(operation.id, data, if_match=if_match))
    change = writing.update if operation.op is Op.UPDATE else writing.replace
    return BatchResult(change(operation.id, data, if_match=if_match))


@contextmanager
def told_of(index: int, operation: BatchOperation) -> Iterator[None]:
    """Say in every foreseen fault of the block which operation it was."""
    try:
        yield
    except TinyBaseError as error:
        error.members["operation"] = index
        error.detail = f"Operation {index}: {_detail(error, operation)}"
        if isinstance(error, Invalid):
            error.faults = tuple(_moved(fault, index) for fault in error.faults)
        raise


def _detail(error: TinyBaseError, operation: BatchOperation) -> str:
    current = error.members.get("current_version")
    if current is None or operation.version is None:
        return error.detail
    return f"the record has version {current}, not {operation.version}"


def _moved(fault: Fault, index: int) -> Fault:
    """Return a fault of a record as one of the body that the record is a part of."""
    if fault.loc[: len(DATA)] != DATA:
        return fault
    return Fault(("body", "operations", index, *fault.loc[1:]), fault.msg, fault.type)
