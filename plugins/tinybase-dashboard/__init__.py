"""A page that shows admins how their TinyBase fares."""

from . import commands, failures, routes, settings

__all__ = ["commands", "failures", "routes", "settings"]
__version__ = "1.0.0"
