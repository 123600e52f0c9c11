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
    ``None`` leaves it to the next implementation and in the end to the rules.
    """


@hookspec
def tinybase_filter_records(event: RecordFilterEvent) -> dict[str, object] | None:
    """Called when somebody looks for records; returns the condition that they must meet.

    The condition is a mapping of fields as ``ctx.records.list(filters=…)`` takes it. Those
    of all implementations must be met; what does not meet them does not exist for the
    caller, in lists and totals and under its id.
    """


@hookspec
def tinybase_redact_record(event: RecordRedactEvent) -> dict[str, object] | None:
    """Called for every record that is about to be sent to somebody.

    ``event.data`` may be changed in place, or a mapping returned to take its place. What is
    stored stays as it is.
    """
