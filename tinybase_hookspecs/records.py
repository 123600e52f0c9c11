"""Hooks about records.

Those whose names begin with ``on_record_`` and that take no part in the write are called
after the commit, from the service that every door uses: REST, functions, the command line
and extensions. The write is durable and nothing an implementation does can undo it.
Implementations of one event run one after another; the client waits for them a short,
bounded time. An exception is logged against the extension and the next implementation
still runs.

``before_record_*`` and ``on_record_write`` run inside the transaction, one after another,
and decide about it: an implementation that raises :class:`~tinybase_hookspecs.Reject` gives
the client that answer, any other exception gives ``extension_error``, and in both cases
nothing is stored. What a handler reads and writes with its ``ctx``, or with
Flask-SQLAlchemy's ``db.session``, belongs to the same transaction.

A write that says ``hooks=False`` calls none of these.
"""

from tinybase_hookspecs.events import (
    RecordChangeEvent,
    RecordCreateEvent,
    RecordDeleteEvent,
    RecordUpdateEvent,
    RecordWriteEvent,
    RecordWriteFailedEvent,
)
from tinybase_hookspecs.markers import hookspec
from tinybase_hookspecs.questions import (
    BeforeRecordCreateEvent,
    BeforeRecordDeleteEvent,
    BeforeRecordUpdateEvent,
)


@hookspec
def tinybase_before_record_create(event: BeforeRecordCreateEvent) -> dict[str, object] | None:
    """Called before a new record is stored, inside the transaction.

    ``event.data`` may be changed in place, or a mapping returned to take its place; the
    next implementation sees the change, and the result is checked against the schema.
    """


@hookspec
def tinybase_before_record_update(event: BeforeRecordUpdateEvent) -> dict[str, object] | None:
    """Called before a record is changed, inside the transaction.

    ``event.data`` may be changed in place, or a mapping returned to take its place; the
    next implementation sees the change, and the result is checked against the schema. Not
    called for a write that would change nothing; when the change is taken back here, nothing
    is stored and nobody told.
    """


@hookspec
def tinybase_before_record_delete(event: BeforeRecordDeleteEvent) -> None:
    """Called before a record is deleted, inside the transaction.

    Called once for every record, also when a whole collection is deleted: one refusal keeps
    it.
    """


@hookspec
def tinybase_on_record_write(event: RecordWriteEvent) -> None:
    """Called after a record was created, changed or deleted, inside the transaction.

    For rows that must live and die with the record: what is written with ``ctx`` is
    committed with it, or not at all. When a whole collection is deleted, it is called for
    every record of it.
    """


@hookspec
def tinybase_on_record_create(event: RecordCreateEvent) -> None:
    """Called after a new record was committed."""


@hookspec
def tinybase_on_record_update(event: RecordUpdateEvent) -> None:
    """Called after a change of a record was committed.

    Not called for a write that changed nothing.
    """


@hookspec
def tinybase_on_record_delete(event: RecordDeleteEvent) -> None:
    """Called after the deletion of a record was committed.

    Called once for every record, also when a whole collection is deleted.
    """


@hookspec
def tinybase_on_record_change(event: RecordChangeEvent) -> None:
    """Called after the creation, change or deletion of a record was committed."""


@hookspec
def tinybase_on_record_write_failed(event: RecordWriteFailedEvent) -> None:
    """Called after a write of records was rolled back, whatever the reason.

    Not called for what was refused before a transaction began, such as a missing token. A
    write of a handler that failed inside a transaction is told when that has ended.
    """
