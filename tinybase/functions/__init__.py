"""Server functions: what their authors import, and the service that runs them.

Importing it is cheap: it loads neither the web framework nor the database.
"""

from tinybase.errors import BadRequest, Conflict, Invalid, NotFound, PreconditionFailed
from tinybase.functions.context import Context
from tinybase.functions.current import current_context
from tinybase.functions.registration import register

__all__ = [
    "BadRequest",
    "Conflict",
    "Context",
    "Invalid",
    "NotFound",
    "PreconditionFailed",
    "current_context",
    "register",
]
