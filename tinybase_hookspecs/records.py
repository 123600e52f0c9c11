"""Hooks about records.

All three are called after the commit, from the service that every door uses: REST,
functions, the command line and extensions. The write is durable and nothing an
implementation does can undo it. Implementations of one event run one after another; the
client waits for them a short, bounded time. An exception is logged against the extension
and the next implementation still runs.
"""

from tinybase_hookspecs.events import RecordCreateEvent, RecordDeleteEvent, RecordUpdateEvent
from tinybase_hookspecs.markers import hookspec


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
