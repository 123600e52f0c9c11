"""Every event becomes one entry of the trail.

Handlers come first in line, so that an event is on the record before another extension
reacts to it, or vetoes the call.
"""

from __future__ import annotations

from tinybase.extensions import (
    FunctionCallEvent,
    FunctionCompleteEvent,
    RecordCreateEvent,
    RecordDeleteEvent,
    RecordUpdateEvent,
    UserLoginEvent,
    UserRegisterEvent,
    on_function_call,
    on_function_complete,
    on_record_create,
    on_record_delete,
    on_record_update,
    on_startup,
    on_user_login,
    on_user_register,
)
from tinybase.functions import Context
from tinybase_audit_trail import trail
from tinybase_audit_trail.entries import describe


@on_startup(tryfirst=True)
def make_collection(ctx: Context) -> None:
    """Have the collection before the first event."""
    trail.prepare(ctx)


@on_record_create(tryfirst=True)
@on_record_update(tryfirst=True)
@on_record_delete(tryfirst=True)
def audit_record(
    event: RecordCreateEvent | RecordUpdateEvent | RecordDeleteEvent, ctx: Context
) -> None:
    """Write down what happened to a record, unless it is an entry of the trail itself."""
    if event.collection != trail.NAME:
        trail.append(ctx, describe(event))


@on_user_login(tryfirst=True)
@on_user_register(tryfirst=True)
def audit_user(event: UserLoginEvent | UserRegisterEvent, ctx: Context) -> None:
    """Write down who signed in, and who is new."""
    trail.append(ctx, describe(event))


@on_function_call(tryfirst=True)
@on_function_complete(tryfirst=True)
def audit_function(event: FunctionCallEvent | FunctionCompleteEvent, ctx: Context) -> None:
    """Write down that a function was called, and how that ended."""
    trail.append(ctx, describe(event))
