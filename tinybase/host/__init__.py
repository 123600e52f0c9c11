"""The host: finds, loads, guards and calls the extensions."""

from tinybase.host.contributions import Check, Contributions
from tinybase.host.dispatch import Dispatcher
from tinybase.host.host import Host, StartAnew
from tinybase.host.origin import as_caused_now, caused_by, current_cause, event_facts
from tinybase.host.snapshot import ExtensionState, FunctionRegistry

__all__ = [
    "Check",
    "Contributions",
    "Dispatcher",
    "ExtensionState",
    "FunctionRegistry",
    "Host",
    "StartAnew",
    "as_caused_now",
    "caused_by",
    "current_cause",
    "event_facts",
]
