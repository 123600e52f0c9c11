"""Server functions: what their authors import, and the service that runs them.

Importing it is cheap: it loads neither the web framework nor the database.
"""

from tinybase.functions.context import Context
from tinybase.functions.current import current_context
from tinybase.functions.registration import register

__all__ = ["Context", "current_context", "register"]
