"""Hooks of a worker's life, and of the extensions in it."""

from tinybase_hookspecs.events import (
    ExtensionDisableEvent,
    ExtensionEnableEvent,
)
from tinybase_hookspecs.markers import hookspec


@hookspec
def tinybase_on_startup() -> None:
    """Called in every worker process, before it answers its first request.

    Everything is loaded and the database is reachable. It is also called, for one
    extension, when that extension is enabled while the server runs. The command line and
    the supervising process never call it.

    An exception, ``SystemExit`` included, is logged and shown in the status of the
    extension, which stays enabled; the server starts.
    """


@hookspec
def tinybase_on_shutdown() -> None:
    """Called when a worker stops, and when the extension is disabled or removed.

    Extensions are called in the reverse of their start-up order, each with a bounded time.
    An exception is logged and the next extension is still called. A worker that is killed
    does not get to call it.
    """


@hookspec
def tinybase_on_extension_enable(event: ExtensionEnableEvent) -> None:
    """Called after an extension was enabled, in one worker.

    That is the worker that was asked over the API. If it was the command line, which loads no
    extension to switch one on or off, it is the first one that notices; nobody is told while
    no server runs.

    The other extensions are told, and the enabled one itself, after its ``on_startup``.
    """


@hookspec
def tinybase_on_extension_disable(event: ExtensionDisableEvent) -> None:
    """Called after an extension was disabled, in one worker.

    That is the worker that was asked over the API. If it was the command line, which loads no
    extension to switch one on or off, it is the first one that notices; nobody is told while
    no server runs.

    The disabled one is not told; it has its ``on_shutdown``.
    """
