"""The author's door: everything that an extension is written with.

Importing it is cheap: it loads the contract, not the server.
"""

from tinybase.extensions.decorators import (
    on_function_call,
    on_function_complete,
    on_record_create,
    on_record_delete,
    on_record_update,
    on_shutdown,
    on_startup,
    on_user_login,
    on_user_register,
)
from tinybase.extensions.signatures import HandlerError
from tinybase_hookspecs import (
    FunctionCallEvent,
    FunctionCompleteEvent,
    RecordCreateEvent,
    RecordDeleteEvent,
    RecordUpdateEvent,
    Reject,
    UserLoginEvent,
    UserRegisterEvent,
    hookimpl,
)

__all__ = [
    "FunctionCallEvent",
    "FunctionCompleteEvent",
    "HandlerError",
    "RecordCreateEvent",
    "RecordDeleteEvent",
    "RecordUpdateEvent",
    "Reject",
    "UserLoginEvent",
    "UserRegisterEvent",
    "hookimpl",
    "on_function_call",
    "on_function_complete",
    "on_record_create",
    "on_record_delete",
    "on_record_update",
    "on_shutdown",
    "on_startup",
    "on_user_login",
    "on_user_register",
]
