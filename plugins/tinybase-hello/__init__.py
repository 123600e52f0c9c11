"""The smallest TinyBase extension that shows everything."""

from . import functions, hooks

__all__ = ["functions", "hooks"]
__version__ = "1.0.0"
