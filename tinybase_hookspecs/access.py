"""Hooks that decide who sees what.

They are asked for everybody but the server itself: admins too. All of them fail closed: an
exception gives the client ``extension_error``.
"""

from tinybase_hookspecs.markers import hookspec
from tinybase_hookspecs.questions import (
    AccessEvent,
    RecordFilterEvent,
    RecordRedactEvent,
)


@hookspec(firstresult=True)
def tinybase_can_access(event: AccessEvent) -> bool | None:
    """Called when the rules of a collection are about to be applied; the first answer holds.

    ``True`` admits whatever the rules say, ``False`` refuses as the rules would, and
    ``None`` leaves it to the next implementation and in the end to the rules. Whoever is
    admitted to a list sees the records of all owners. An application token is good for what
    its scopes say and for no more.

    Where a record is changed it is called inside the transaction. It does not decide who
    sees the collection itself.
    """


@hookspec
def tinybase_filter_records(event: RecordFilterEvent) -> dict[str, object] | None:
    """Called when somebody looks for records; returns the condition that they must meet.

    The condition is a mapping of fields as ``ctx.records.list(filters=…)`` takes it; one
    that nothing can meet is ``{"id": {"in": []}}``. Those of all implementations must be
    met; what does not meet them does not exist for the caller: in lists, totals and pages,
    under its id, and to be changed or deleted. A condition that the collection cannot have
    is ``extension_error``.

    What is written need not meet them: ``before_record_create`` and
    ``before_record_update`` see to that.
    """


@hookspec
def tinybase_redact_record(event: RecordRedactEvent) -> dict[str, object] | None:
    """Called for every record that is about to be sent to somebody.

    ``event.data`` may be changed in place, or a mapping returned to take its place. What is
    stored stays as it is. The answer to a write is part of it: it is called inside the
    transaction, and when it fails, nothing is stored.

    Nobody but admins can filter or sort by what may be redacted, because that would tell
    what is not shown. These are the ``fields`` that ``@redact_record(fields=…)`` names, and
    no others may it change; without ``fields``, and for a raw implementation, it is all data
    of the collection.
    """
