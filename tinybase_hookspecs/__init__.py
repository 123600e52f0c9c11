"""The contract between TinyBase and its extensions.

This package depends on pluggy and the standard library alone. An extension that wants
nothing but the contract can implement its hooks with :data:`hookimpl`; most prefer the
decorators of ``tinybase.extensions``, which are sugar over the same hooks.

The name of a hook is ``tinybase_`` and the name of its decorator: ``@on_record_create``
implements ``tinybase_on_record_create``.
"""

from tinybase_hookspecs.auth import tinybase_on_user_login, tinybase_on_user_register
from tinybase_hookspecs.events import (
    FunctionCallEvent,
    FunctionCompleteEvent,
    RecordCreateEvent,
    RecordDeleteEvent,
    RecordUpdateEvent,
    UserLoginEvent,
    UserRegisterEvent,
)
from tinybase_hookspecs.functions import tinybase_on_function_call, tinybase_on_function_complete
from tinybase_hookspecs.lifecycle import tinybase_on_shutdown, tinybase_on_startup
from tinybase_hookspecs.markers import hookimpl, hookspec
from tinybase_hookspecs.records import (
    tinybase_on_record_create,
    tinybase_on_record_delete,
    tinybase_on_record_update,
)
from tinybase_hookspecs.registration import FunctionDeclaration, tinybase_register_functions
from tinybase_hookspecs.reject import Reject

__all__ = [
    "FunctionCallEvent",
    "FunctionCompleteEvent",
    "FunctionDeclaration",
    "RecordCreateEvent",
    "RecordDeleteEvent",
    "RecordUpdateEvent",
    "Reject",
    "UserLoginEvent",
    "UserRegisterEvent",
    "hookimpl",
    "hookspec",
    "tinybase_on_function_call",
    "tinybase_on_function_complete",
    "tinybase_on_record_create",
    "tinybase_on_record_delete",
    "tinybase_on_record_update",
    "tinybase_on_shutdown",
    "tinybase_on_startup",
    "tinybase_on_user_login",
    "tinybase_on_user_register",
    "tinybase_register_functions",
]
