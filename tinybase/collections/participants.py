"""Asking the extensions about writes of records, inside the transaction that writes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol

import pluggy

from tinybase.collections.collection import Collection
from tinybase.collections.compiled import Document, RecordInvalid
from tinybase.collections.hooks import Audience, Heard, change_of, tell_deleted
from tinybase.collections.record import RecordRow
from tinybase.db import Work
from tinybase.errors import TinyBaseError
from tinybase.host import event_facts
from tinybase_hookspecs import (
    BeforeRecordCreateEvent,
    BeforeRecordDeleteEvent,
    BeforeRecordUpdateEvent,
    RecordWriteEvent,
)


class Shared(Protocol):
    """A transaction that others can take part in."""

    def shared(self) -> AbstractContextManager[None]:
        """Let whatever is called in the block take part."""


@dataclass(frozen=True, slots=True)
class Participants:
    """The hooks that somebody wants to be called inside of transactions; at least one of them.

    What is asked about is refused by an exception: ``Rejected``, or ``extension_error``.
    """

    create: pluggy.HookCaller | None
    update: pluggy.HookCaller | None
    delete: pluggy.HookCaller | None
    write: pluggy.HookCaller | None

    def creating(self, work: Shared, collection: Collection, record: RecordRow) -> RecordRow:
        """Return what to store for a new record.

        :raises RecordInvalid: when it does not fit the schema any more.
        """
        if self.create is None:
            return record
        event = BeforeRecordCreateEvent(
            collection.name, record.id, record.data, record.owner_id, **event_facts()
        )
        with work.shared():
            self.create(event=event)
        return replace(record, data=_checked(self.create, collection, record.data, event.data))

    def updating(
        self, work: Shared, collection: Collection, before: RecordRow, after: RecordRow
    ) -> RecordRow:
        """Return what to store in the place of a record.

        :raises RecordInvalid: when it does not fit the schema any more.
        """
        if self.update is None:
            return after
        event = BeforeRecordUpdateEvent(
            collection.name, after.id, before.data, after.data, after.owner_id, **event_facts()
        )
        with work.shared():
            self.update(event=event)
        return replace(after, data=_checked(self.update, collection, after.data, event.data))

    def deleting(self, work: Shared, collection: Collection, record: RecordRow) -> None:
        """Ask whether a record may be deleted."""
        if self.delete is None:
            return
        event = BeforeRecordDeleteEvent(
            collection.name, record.id, record.data, record.owner_id, **event_facts()
        )
        with work.shared():
            self.delete(event=event)

    def written(
        self,
        work: Shared,
        collection: Collection,
        before: RecordRow | None,
        after: RecordRow | None,
    ) -> None:
        """Let them add to a write that has been carried out."""
        if self.write is None:
            return
        event = RecordWriteEvent(**change_of(collection, before, after), **event_facts())
        with work.shared():
            self.write(event=event)


_NOBODY: Final = Participants(None, None, None, None)


def participants_of(heard: Heard | None) -> Participants | None:
    """Return those who take part in writes to a collection, or ``None``."""
    if heard is None:
        return None
    found = Participants(
        create=heard.get("tinybase_before_record_create"),
        update=heard.get("tinybase_before_record_update"),
        delete=heard.get("tinybase_before_record_delete"),
        write=heard.get("tinybase_on_record_write"),
    )
    return None if found == _NOBODY else found


@contextmanager
def all_deleted(
    audience: Audience, work: Work, collection: Collection, records: Iterable[RecordRow]
) -> Iterator[None]:
    """Ask about, and tell of, every record of a collection that the block deletes.

    :param records: are not looked at when nobody listens.
    """
    heard = audience.of(collection)
    participants = participants_of(heard)
    rows = records if participants is None else list(records)
    if participants is not None:
        for record in rows:
            participants.deleting(work, collection, record)
    tell_deleted(heard, work, collection, rows)
    yield
    if participants is not None:
        for record in rows:
            participants.written(work, collection, record, None)


def written_meanwhile(hook: pluggy.HookCaller | None) -> TinyBaseError | None:
    """Return the error for a record that has changed while a hook was asked about it.

    Nobody else can change it in the meantime, so it was one of those who were asked.
    """
    if hook is None:
        return None
    return TinyBaseError(
        f"{_who(hook)} wrote the record while asked about this write of it, which so has "
        "nothing to write to any more; it has to change event.data instead.",
        code="extension_error",
        extension=_names(hook)[0],
    )


def _checked(
    hook: pluggy.HookCaller, collection: Collection, before: Document, after: Document
) -> Document:
    try:
        return collection.compiled.reload(before, after)
    except RecordInvalid as error:
        error.detail = f"{_who(hook)} changed the record. {error.detail}"
        raise


def _who(hook: pluggy.HookCaller) -> str:
    names = _names(hook)
    if len(names) == 1:
        return f"The extension {names[0]}"
    return f"One of the extensions {', '.join(names)}"


def _names(hook: pluggy.HookCaller) -> list[str]:
    """Return the extensions that implement a hook; theirs is the first part of the names."""
    return list(dict.fromkeys(e.plugin_name.partition(":")[0] for e in hook.get_hookimpls()))
