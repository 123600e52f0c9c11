"""What is told of, and when it is queued."""

from tinybase.extensions import (
    RecordWriteEvent,
    UserDeleteEvent,
    UserLoginEvent,
    UserRegisterEvent,
    UserUpdateEvent,
    on_record_write,
    on_user_delete,
    on_user_login,
    on_user_register,
    on_user_update,
)
from tinybase.functions import Context

from .deliveries import DELIVERIES, queue
from .endpoints import ENDPOINTS

_NAMES = {
    UserRegisterEvent: "user.register",
    UserLoginEvent: "user.login",
    UserUpdateEvent: "user.update",
    UserDeleteEvent: "user.delete",
}


@on_record_write(trylast=True)
def record_written(event: RecordWriteEvent, ctx: Context) -> None:
    """Queue deliveries in the transaction of the write.

    They are committed with it or not at all: nobody hears of what never happened, and a
    crash between the two loses nothing.
    """
    if event.collection in (ENDPOINTS, DELIVERIES):
        return
    data = {
        "collection": event.collection,
        "id": str(event.record_id),
        "owner_id": None if event.owner_id is None else str(event.owner_id),
        "record": event.new_data,
        "old_record": event.old_data,
    }
    queue(ctx, f"record.{event.action}", event.occurred_at, data, event.collection)


@on_user_register
@on_user_login
@on_user_update
@on_user_delete
def user_event(
    event: UserRegisterEvent | UserLoginEvent | UserUpdateEvent | UserDeleteEvent, ctx: Context
) -> None:
    """Queue deliveries about a user.

    These events are told of after the commit, so a crash at that moment loses one.
    """
    data = {"id": str(event.user_id), "email": event.email}
    queue(ctx, _NAMES[type(event)], event.occurred_at, data, None)
