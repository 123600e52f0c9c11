"""The extension that ``tinybase demo`` installs; a repository like it is all one needs."""

from . import functions, hooks

__all__ = ["functions", "hooks"]
__version__ = "1.0.0"
