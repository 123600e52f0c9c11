"""Signed webhooks for TinyBase.

``events`` queues a delivery with each write that somebody wants to hear of, ``sender`` posts
what is queued, ``signing`` signs it and ``network`` keeps it away from addresses that are
nobody's business. ``endpoints`` and ``deliveries`` are the two collections; ``health`` and
``commands`` are for operators.
"""

from . import commands, events, health, sender

__all__ = ["commands", "events", "health", "sender"]
__version__ = "1.0.0"
