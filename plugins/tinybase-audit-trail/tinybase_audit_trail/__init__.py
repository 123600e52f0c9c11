"""An audit trail for TinyBase: every data, user and function event, for admins to read.

``hooks`` listens, ``entries`` says what of an event is written down, ``trail`` keeps it,
and ``functions`` lets admins ask.
"""

from tinybase_audit_trail import functions, hooks

__all__ = ["functions", "hooks"]
__version__ = "1.0.0"
