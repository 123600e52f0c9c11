"""Tenancy for TinyBase: users belong to organisations, and collections are divided among them.

``directory`` keeps organisations and who belongs to them, ``walls`` divides the collections,
``members`` decides what happens when somebody signs up or leaves, and ``commands`` is for
operators; ``health`` tells when a collection cannot be divided yet.
"""

from . import commands, directory, health, members, walls

__all__ = ["commands", "directory", "health", "members", "walls"]
__version__ = "1.0.0"
